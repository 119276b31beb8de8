//! B20 to B33: what an answer does, and what the lack of one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use micro_core::Kind;
use micro_core::broker::{Message, Reason, Settle, Settlement, SubscribeOptions};

use super::Stage;
use super::stage::{number, numbered};
use crate::Failed;
use crate::case::rules;
use crate::failed::ensure;

rules! { broker:
    B20 what_was_acknowledged_does_not_come_again [Queues] "after an acknowledgement the queue's next member gets silence";
    B21 what_is_to_be_retried_comes_again_with_its_count [Queues, Retry, Attempts] "a retried message comes again with the same id, and one failure more";
    B22 many_that_are_retried_all_arrive [Queues, Retry] "50 messages, each retried several times by one of two members, are all acknowledged in the end";
    B23 a_retry_comes_after_its_pause [Queues, Retry] "a retried message does not come before its pause is over, and comes within two seconds after it";
    B24 what_is_rejected_is_gone [Queues] "a rejected message does not come again";
    B25 what_is_dropped_unsettled_comes_again [Queues] "a delivery that is dropped without an answer comes again, with no failure counted";
    B26 what_a_dead_member_had_in_hand_goes_to_another [Queues] "when a member's client is gone, another member of the queue gets what it had in hand";
    B28 answers_may_come_in_any_order [Queues] "acknowledging the third before the first and second loses neither of these";
    B29 the_second_answer_changes_nothing [Queues] "answering a delivery twice is a conflict, and changes nothing";
    B30 an_answer_after_the_end_is_an_error [Queues] "an answer after the client is gone says so, and does not hang";
    B31 failures_are_counted_across_a_reconnect [Queues, Retry, Attempts] "the count of failures goes on where it was when the client connects again";
    B32 a_confirmed_acknowledgement_outlives_its_client [Queues] "when an acknowledgement is confirmed, the end of its client does not bring the message back";
    B33 no_more_is_out_than_may_be [] "no more deliveries are out unsettled than the subscription said";
}

/// How long a dead member may be waited for: its lease.
const LEASE: Duration = Duration::from_secs(6);

fn member(stage: &Stage) -> SubscribeOptions {
    SubscribeOptions::new().queue(stage.queue("q")).lease(LEASE)
}

async fn what_was_acknowledged_does_not_come_again(stage: Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    let mut subscription = stage.subscribe(&broker, &topic, member(&stage)).await?;
    stage.publish(&broker, &topic, numbered(0..20)).await?;
    stage.drain(&mut subscription, 20).await?;
    stage.present("unsubscribe", subscription.unsubscribe()).await??;
    stage.present("disconnect", broker.disconnect()).await??;
    let again = stage.client().await?;
    let mut subscription = stage.subscribe(&again, &topic, member(&stage)).await?;
    stage.silence(&mut subscription).await
}

async fn what_is_to_be_retried_comes_again_with_its_count(stage: Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    let mut subscription = stage.subscribe(&broker, &topic, member(&stage)).await?;
    stage.publish(&broker, &topic, vec![Message::new("0").header("Micro-Id", "id-0")]).await?;
    for attempts in 0..3 {
        let delivery = stage.take_one(&mut subscription).await?;
        ensure!(delivery.attempts() == attempts, "{} failures are told after {attempts}", delivery.attempts());
        ensure!(delivery.id() == "id-0" && delivery.body() == "0", "{delivery:?} came");
        stage.present("the answer's confirmation", delivery.retry(Duration::from_millis(10))).await??;
    }
    stage.drain(&mut subscription, 1).await?;
    stage.silence(&mut subscription).await
}

async fn many_that_are_retried_all_arrive(stage: Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    let other = stage.client().await?;
    let mut members = [
        stage.subscribe(&broker, &topic, member(&stage)).await?,
        stage.subscribe(&other, &topic, member(&stage)).await?,
    ];
    stage.publish(&broker, &topic, numbered(0..50)).await?;
    let mut times: BTreeMap<usize, u32> = BTreeMap::new();
    let mut done = 0;
    let until = Instant::now() + stage.limits().present * 2;
    while done < 50 {
        ensure!(Instant::now() < until, "{done} of 50 arrived in time");
        for subscription in &mut members {
            let next = tokio::time::timeout(Duration::from_millis(20), subscription.next(16)).await;
            let Ok(next) = next else { continue };
            for delivery in next?.unwrap_or_default() {
                let count = times.entry(number(&delivery)?).or_default();
                *count += 1;
                if *count < 4 {
                    stage.present("an answer", delivery.retry(Duration::from_millis(5))).await??;
                } else {
                    stage.present("an answer", delivery.ack()).await??;
                    done += 1;
                }
            }
        }
    }
    ensure!(times.len() == 50 && times.values().all(|count| *count == 4), "each came so often: {times:?}");
    Ok(())
}

async fn a_retry_comes_after_its_pause(stage: Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    let mut subscription = stage.subscribe(&broker, &topic, member(&stage)).await?;
    stage.publish(&broker, &topic, numbered(0..1)).await?;
    let pause = Duration::from_millis(600);
    let delivery = stage.take_one(&mut subscription).await?;
    let began = Instant::now();
    stage.present("the answer's confirmation", delivery.retry(pause)).await??;
    stage.drain(&mut subscription, 1).await?;
    let took = began.elapsed();
    // Clocks of servers and timers may round by a few milliseconds.
    ensure!(
        took + Duration::from_millis(20) >= pause,
        "it came after {took:?}, before its pause of {pause:?} was over"
    );
    ensure!(took < pause + Duration::from_secs(2), "it came after {took:?}, long after its pause of {pause:?}");
    Ok(())
}

async fn what_is_rejected_is_gone(stage: Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    let mut subscription = stage.subscribe(&broker, &topic, member(&stage)).await?;
    stage.publish(&broker, &topic, numbered(0..1)).await?;
    let delivery = stage.take_one(&mut subscription).await?;
    stage.present("the answer's confirmation", delivery.reject(Reason::Rejected)).await??;
    stage.silence(&mut subscription).await
}

async fn what_is_dropped_unsettled_comes_again(stage: Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    let mut subscription = stage.subscribe(&broker, &topic, member(&stage)).await?;
    stage.publish(&broker, &topic, numbered(0..3)).await?;
    drop(stage.take(&mut subscription, 3).await?);
    let mut again = stage.take(&mut subscription, 3).await?;
    ensure!(again.iter().all(|delivery| delivery.attempts() == 0), "a drop was counted as a failure: {again:?}");
    again.sort_by_key(|delivery| number(delivery).unwrap_or(usize::MAX));
    let numbers = again.iter().map(number).collect::<Result<Vec<_>, _>>()?;
    ensure!(numbers == [0, 1, 2], "{numbers:?} came again");
    for delivery in again {
        stage.present("the answer's confirmation", delivery.ack()).await??;
    }
    Ok(())
}

async fn what_a_dead_member_had_in_hand_goes_to_another(stage: Stage) -> Result<(), Failed> {
    let (dying, broker, topic) = (stage.client().await?, stage.client().await?, stage.topic("t"));
    let mut first = stage.subscribe(&dying, &topic, member(&stage)).await?;
    stage.publish(&broker, &topic, numbered(0..5)).await?;
    let held: Vec<_> = stage.take(&mut first, 5).await?.into_iter().map(|delivery| delivery.into_parts()).collect();
    // Nobody answers for these any more.
    stage.present("disconnect", dying.disconnect()).await??;
    drop((first, held));
    let mut second = stage.subscribe(&broker, &topic, member(&stage)).await?;
    let mut came = stage.drain(&mut second, 5).await?;
    came.sort_unstable();
    ensure!(came == [0, 1, 2, 3, 4], "{came:?} came to the other member");
    Ok(())
}

async fn answers_may_come_in_any_order(stage: Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    let mut subscription = stage.subscribe(&broker, &topic, member(&stage)).await?;
    // One key, so that they lie behind each other.
    let messages = numbered(0..3).into_iter().map(|message| message.key("one")).collect();
    stage.publish(&broker, &topic, messages).await?;
    let mut deliveries = stage.take(&mut subscription, 3).await?;
    let third = deliveries.pop().ok_or_else(|| Failed::new("nothing came"))?;
    let acknowledged = number(&third)?;
    stage.present("the answer's confirmation", third.ack()).await??;
    drop(deliveries);
    stage.present("unsubscribe", subscription.unsubscribe()).await??;
    let mut next = stage.subscribe(&broker, &topic, member(&stage)).await?;
    let mut came = stage.drain(&mut next, 2).await?;
    came.sort_unstable();
    let wanted: Vec<_> = (0..3).filter(|number| *number != acknowledged).collect();
    ensure!(came == wanted, "{came:?} came again where {wanted:?} were not acknowledged");
    stage.silence(&mut next).await
}

async fn the_second_answer_changes_nothing(stage: Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    let mut subscription = stage.subscribe(&broker, &topic, member(&stage)).await?;
    stage.publish(&broker, &topic, numbered(0..1)).await?;
    let parts = stage.take_one(&mut subscription).await?.into_parts();
    let answer = |settle| parts.origin.settler.settle(vec![Settlement::new(parts.token, settle, 0)]).first();
    stage.present("the answer's confirmation", answer(Settle::Ack)).await??;
    let second = stage.present("the second answer", answer(Settle::Retry(Duration::ZERO))).await?;
    let conflict = second.as_ref().err().is_some_and(|error| error.kind() == Kind::Conflict);
    ensure!(conflict, "the second answer is no conflict but {second:?}");
    stage.silence(&mut subscription).await
}

async fn an_answer_after_the_end_is_an_error(stage: Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    let mut subscription = stage.subscribe(&broker, &topic, member(&stage)).await?;
    stage.publish(&broker, &topic, numbered(0..1)).await?;
    let delivery = stage.take_one(&mut subscription).await?;
    stage.present("disconnect", broker.disconnect()).await??;
    let answer = stage.present("the answer", delivery.ack()).await?;
    ensure!(answer.is_err(), "an answer after the client is gone was confirmed");
    Ok(())
}

async fn failures_are_counted_across_a_reconnect(stage: Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    let mut subscription = stage.subscribe(&broker, &topic, member(&stage)).await?;
    stage.publish(&broker, &topic, numbered(0..1)).await?;
    for _ in 0..2 {
        let delivery = stage.take_one(&mut subscription).await?;
        stage.present("the answer's confirmation", delivery.retry(Duration::ZERO)).await??;
    }
    stage.present("unsubscribe", subscription.unsubscribe()).await??;
    stage.present("disconnect", broker.disconnect()).await??;
    let again = stage.client().await?;
    let mut subscription = stage.subscribe(&again, &topic, member(&stage)).await?;
    let delivery = stage.take_one(&mut subscription).await?;
    ensure!(delivery.attempts() == 2, "{} failures are told after two", delivery.attempts());
    Ok(stage.present("the answer's confirmation", delivery.ack()).await??)
}

async fn a_confirmed_acknowledgement_outlives_its_client(stage: Stage) -> Result<(), Failed> {
    let (dying, broker, topic) = (stage.client().await?, stage.client().await?, stage.topic("t"));
    let mut subscription = stage.subscribe(&dying, &topic, member(&stage)).await?;
    stage.publish(&broker, &topic, numbered(0..5)).await?;
    let mut deliveries = stage.take(&mut subscription, 5).await?;
    let kept = deliveries.pop().ok_or_else(|| Failed::new("nothing came"))?;
    let wanted = number(&kept)?;
    for delivery in deliveries {
        stage.present("the answer's confirmation", delivery.ack()).await??;
    }
    stage.present("disconnect", dying.disconnect()).await??;
    drop((subscription, kept));
    let mut next = stage.subscribe(&broker, &topic, member(&stage)).await?;
    let came = stage.drain(&mut next, 1).await?;
    ensure!(came == [wanted], "{came:?} came again, and only {wanted} was not acknowledged");
    stage.silence(&mut next).await
}

async fn no_more_is_out_than_may_be(stage: Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    let options = SubscribeOptions::new().in_flight(5);
    let mut subscription = stage.subscribe(&broker, &topic, options).await?;
    stage.publish(&broker, &topic, numbered(0..12)).await?;
    let mut held = Vec::new();
    while held.len() < 5 {
        let next = stage.present("the first five", subscription.next(16)).await??.unwrap_or_default();
        held.extend(next);
    }
    ensure!(held.len() == 5, "{} are out where 5 may be", held.len());
    stage.silence(&mut subscription).await?;
    for delivery in held {
        stage.present("the answer's confirmation", delivery.ack()).await??;
    }
    stage.drain(&mut subscription, 5).await?;
    stage.drain(&mut subscription, 2).await?;
    Ok(())
}
