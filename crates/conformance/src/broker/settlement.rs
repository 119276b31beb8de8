//! B20 to B33: what an answer does, and what the lack of one.

use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use micro_core::broker::{Delivery, Message, Reason, Settle, Settlement, SubscribeOptions, Subscription, Token};
use micro_core::{Context, Error, Kind};
use micro_event::{Events, raw_subscriber, reject};

use super::Stage;
use super::events::{letters, stop};
use super::stage::{number, numbered};
use crate::Failed;
use crate::case::rules;
use crate::failed::ensure;

rules! { broker:
    B20 what_was_acknowledged_does_not_come_again [Queues] "after an acknowledgement the queue's next member gets silence";
    B21 what_is_to_be_retried_comes_again_with_its_count [Queues, Retry, Attempts] "a retried message comes again with the same id, and one failure more";
    B22 many_that_are_retried_all_arrive [Queues, Retry] "50 messages are all acknowledged in the end, and once, when three members have retried 100 times each; each comes with its count";
    B23 a_retry_comes_after_its_pause [Queues, Retry] "a retried message does not come before its pause is over, and comes within two seconds after it";
    B24 what_is_rejected_is_gone [Queues] "a rejected message does not come again, to the queue's next member neither; an event's is a dead letter of reason rejected";
    B25 what_is_dropped_unsettled_comes_again [Queues] "a delivery that is dropped without an answer comes again, with no failure counted";
    B26 what_a_dead_member_had_in_hand_goes_to_another [Queues] "when a member's client is gone, another member of the queue gets what it had in hand";
    B28 answers_may_come_in_any_order [Queues] "acknowledging the third before the first and second loses neither of these when the member leaves or its client dies, and the third does not come again";
    B29 the_second_answer_changes_nothing [Queues] "whatever the first and the second answer to a delivery, the second is a conflict and changes nothing; so is one for what was never given, or given anew";
    B30 an_answer_after_the_end_is_an_error [Queues] "an answer after the client is gone says so, and does not hang";
    B31 failures_are_counted_across_a_reconnect [Queues, Retry, Attempts] "the count of failures goes on where it was when the client connects again";
    B32 a_confirmed_acknowledgement_outlives_its_client [Queues] "when an acknowledgement is confirmed, the end of its client does not bring the message back";
    B33 no_more_is_out_than_may_be [] "no more deliveries are out unsettled than the subscription said, and so many are, whatever is answered";
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
    let (publisher, topic) = (stage.client().await?, stage.topic("t"));
    let clients = try_join_all((0..MEMBERS).map(|_| stage.client())).await?;
    let joining = clients.iter().map(|client| stage.subscribe(client, &topic, member(&stage)));
    let mut members = try_join_all(joining).await?;
    stage.publish(&publisher, &topic, keyed(&stage, 0..MANY)).await?;
    let book = Mutex::new(Retries::default());
    let working =
        members.iter_mut().enumerate().map(|(member, subscription)| retry_many(&stage, &book, member, subscription));
    try_join_all(working).await?;
    try_join_all(members.iter_mut().map(|subscription| stage.silence(subscription))).await?;
    Ok(())
}

/// As many members, messages, and retries of each member.
const MEMBERS: usize = 3;
const MANY: usize = 50;
const RETRIES: u32 = 100;

/// What the members have answered.
#[derive(Debug, Default)]
struct Retries {
    by_member: [u32; MEMBERS],
    by_number: BTreeMap<usize, u32>,
    done: BTreeSet<usize>,
}

impl Retries {
    /// Says what a member answers: it retries so often, and acknowledges when all have done that.
    fn answer(&mut self, member: usize, number: usize, attempts: Option<u32>) -> Result<Settle, Failed> {
        ensure!(!self.done.contains(&number), "{number} came again after it was acknowledged");
        let times = self.by_number.entry(number).or_default();
        let told = attempts.unwrap_or(*times);
        ensure!(told == *times, "{told} failures of {number} are told after {times}");
        if self.by_member[member] < RETRIES {
            self.by_member[member] += 1;
            *times += 1;
            return Ok(Settle::Retry(Duration::from_millis(1)));
        }
        if self.by_member.iter().any(|count| *count < RETRIES) {
            return Ok(Settle::Release);
        }
        self.done.insert(number);
        Ok(Settle::Ack)
    }
}

async fn retry_many(
    stage: &Stage,
    book: &Mutex<Retries>,
    member: usize,
    subscription: &mut Box<dyn Subscription>,
) -> Result<(), Failed> {
    let until = Instant::now() + stage.limits().present * 2;
    let told = stage.capability().attempts;
    let book = || book.lock().unwrap_or_else(PoisonError::into_inner);
    while book().done.len() < MANY {
        ensure!(Instant::now() < until, "not all were acknowledged in time: {:?}", book());
        let next = tokio::time::timeout(Duration::from_millis(20), subscription.next(8)).await;
        let Ok(next) = next else { continue };
        let deliveries = next?.ok_or_else(|| Failed::new("the subscription ended"))?;
        let mut answers = Vec::new();
        let mut waits = false;
        for delivery in deliveries {
            let attempts = told.then(|| delivery.attempts());
            let answer = book().answer(member, number(&delivery)?, attempts)?;
            waits |= answer == Settle::Release;
            answers.push(send(delivery, answer));
        }
        stage.present("the answers' confirmations", try_join_all(answers)).await??;
        if waits {
            // Others are not done yet.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    Ok(())
}

/// Answers a delivery; what is retried or rejected counts as a failure.
async fn send(delivery: Delivery, answer: Settle) -> micro_core::Result<()> {
    match answer {
        Settle::Ack => delivery.ack().await,
        Settle::Retry(after) => delivery.retry(after).await,
        Settle::Reject(reason) => delivery.reject(reason).await,
        _ => delivery.release().await,
    }
}

/// Numbered messages, each with a key of its own where there are keys, so that every member gets some.
fn keyed(stage: &Stage, numbers: std::ops::Range<usize>) -> Vec<Message> {
    let keys = stage.capability().keys;
    let key = |(at, message): (usize, Message)| if keys { message.key(format!("key-{at}")) } else { message };
    numbered(numbers).into_iter().enumerate().map(key).collect()
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
    let (broker, topic) = (stage.client().await?, stage.topic("raw"));
    let mut subscription = stage.subscribe(&broker, &topic, member(&stage)).await?;
    stage.publish(&broker, &topic, numbered(0..1)).await?;
    let delivery = stage.take_one(&mut subscription).await?;
    stage.present("the answer's confirmation", delivery.reject(Reason::Rejected)).await??;
    stage.silence(&mut subscription).await?;
    stage.present("disconnect", broker.disconnect()).await??;
    let again = stage.client().await?;
    let mut next = stage.subscribe(&again, &topic, member(&stage)).await?;
    stage.silence(&mut next).await?;
    // Through the event layer it is kept as a dead letter.
    let (topic, queue) = (stage.topic("event"), stage.queue("q"));
    let handler = |_: Context, _: Message| ready(Err(reject(Error::internal("conformance", "not this one"))));
    let events = Events::new(Arc::clone(&again));
    let live = events.subscribe(raw_subscriber(topic.as_str(), handler).queue(queue.as_str()));
    let live = stage.present("subscribe", live).await??;
    stage.publish(&again, &topic, numbered(7..8)).await?;
    let letter = letters(&stage, &again, topic.as_str(), 1).await?.remove(0);
    ensure!(letter.reason == "rejected", "the dead letter of what was rejected says {:?}", letter.reason);
    ensure!(letter.message.body == "7", "the dead letter is {:?}", letter.message.body);
    stop(&stage, live).await?;
    let mut next = stage.subscribe(&again, &topic, member(&stage)).await?;
    stage.silence(&mut next).await
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
    for dies in [true, false] {
        let topic = stage.topic(if dies { "dies" } else { "leaves" });
        let (client, broker) = (stage.client().await?, stage.client().await?);
        let mut subscription = stage.subscribe(&client, &topic, member(&stage)).await?;
        // One key, so that they lie behind each other.
        let messages = numbered(0..3).into_iter().map(|message| message.key("one")).collect();
        stage.publish(&broker, &topic, messages).await?;
        let mut deliveries = stage.take(&mut subscription, 3).await?;
        let third = deliveries.pop().ok_or_else(|| Failed::new("nothing came"))?;
        let acknowledged = number(&third)?;
        stage.present("the answer's confirmation", third.ack()).await??;
        let held = if dies {
            // Nobody answers for these any more, nor says that the member leaves.
            let held: Vec<_> = deliveries.into_iter().map(Delivery::into_parts).collect();
            stage.present("disconnect", client.disconnect()).await??;
            Some((held, subscription))
        } else {
            drop(deliveries);
            stage.present("unsubscribe", subscription.unsubscribe()).await??;
            None
        };
        let mut next = stage.subscribe(&broker, &topic, member(&stage)).await?;
        let mut came = stage.drain(&mut next, 2).await?;
        came.sort_unstable();
        let wanted: Vec<_> = (0..3).filter(|number| *number != acknowledged).collect();
        ensure!(came == wanted, "{came:?} came again where {wanted:?} were not acknowledged");
        stage.silence(&mut next).await?;
        drop(held);
    }
    Ok(())
}

async fn the_second_answer_changes_nothing(stage: Stage) -> Result<(), Failed> {
    let capability = stage.capability();
    let answers = [Settle::Ack, Settle::Retry(Duration::ZERO), Settle::Reject(Reason::Rejected), Settle::Release];
    let answers = answers.into_iter().filter(|answer| capability.retry || !fails_for_now(answer));
    let answers: Vec<_> = answers.collect();
    let pairs = answers.iter().flat_map(|first| answers.iter().map(move |second| (first, second)));
    // Each pair one after the other, and in one call.
    let pairs: Vec<_> = pairs.flat_map(|pair| [(pair, false), (pair, true)]).collect();
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    let mut subscription = stage.subscribe(&broker, &topic, member(&stage)).await?;
    stage.publish(&broker, &topic, numbered(0..pairs.len())).await?;
    let mut held = BTreeMap::new();
    for delivery in stage.take(&mut subscription, pairs.len()).await? {
        held.insert(number(&delivery)?, delivery.into_parts());
    }
    ensure!(held.len() == pairs.len(), "{} messages came where {} are due", held.len(), pairs.len());
    let settler = Arc::clone(&held[&0].origin.settler);
    // No subscription gives so many.
    let never = answers.iter().map(|answer| Settlement::new(Token(u64::MAX), answer.clone(), 1)).collect();
    for answered in stage.present("answers for what was never given", settler.settle(never)).await? {
        conflicts("an answer for what was never given", &answered)?;
    }
    for (number, ((first, second), together)) in pairs.iter().enumerate() {
        let token = held[&number].token;
        let first = Settlement::new(token, (*first).clone(), u32::from(fails_for_now(first)));
        // If this one counted, its failures would show.
        let second = Settlement::new(token, (*second).clone(), 9);
        let what = format!("{second:?} after {first:?}");
        let answered = if *together {
            stage.present(&what, settler.settle(vec![first, second])).await?
        } else {
            let mut answered = stage.present(&what, settler.settle(vec![first])).await?;
            answered.extend(stage.present(&what, settler.settle(vec![second])).await?);
            answered
        };
        ensure!(answered.len() == 2 && answered[0].is_ok(), "{what} gave {answered:?}");
        conflicts(&what, &answered[1])?;
    }
    let comes_again = |settle: &Settle| fails_for_now(settle) || *settle == Settle::Release;
    let count = pairs.iter().filter(|((first, _), _)| comes_again(first)).count();
    let again = stage.take(&mut subscription, count).await?;
    let mut numbers = BTreeSet::new();
    for delivery in &again {
        let number = number(delivery)?;
        let ((first, second), _) = pairs[number];
        ensure!(comes_again(first) && numbers.insert(number), "{number} came after {first:?} and {second:?}");
        let failures = u32::from(fails_for_now(first) && capability.attempts);
        let told = delivery.attempts();
        ensure!(told == failures, "{told} failures are told after {first:?} and {second:?}");
        // It is in other hands now, if they are the same.
        let old = Settlement::new(held[&number].token, Settle::Ack, 0);
        let answered = stage.present("an old answer", settler.settle(vec![old]).first()).await?;
        conflicts("an answer to a delivery from before", &answered)?;
    }
    for delivery in again {
        stage.present("the answer's confirmation", delivery.ack()).await??;
    }
    stage.silence(&mut subscription).await
}

fn fails_for_now(settle: &Settle) -> bool {
    matches!(settle, Settle::Retry(_))
}

fn conflicts(what: &str, answered: &micro_core::Result<()>) -> Result<(), Failed> {
    let conflict = answered.as_ref().is_err_and(|error| error.kind() == Kind::Conflict);
    ensure!(conflict, "{what} is no conflict but {answered:?}");
    Ok(())
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
    let options = SubscribeOptions::new().in_flight(LIMIT);
    let mut subscription = stage.subscribe(&broker, &topic, options.clone()).await?;
    stage.publish(&broker, &topic, numbered(0..12)).await?;
    let mut held = Vec::new();
    while held.len() < LIMIT {
        let next = stage.present("as many as may be out", subscription.next(16)).await??.unwrap_or_default();
        held.extend(next);
    }
    ensure!(held.len() == LIMIT, "{} are out where {LIMIT} may be", held.len());
    stage.silence(&mut subscription).await?;
    for delivery in held {
        stage.present("the answer's confirmation", delivery.ack()).await??;
    }
    stage.drain(&mut subscription, 5).await?;
    stage.drain(&mut subscription, 2).await?;
    // The same over a longer run, with two members where there are queues.
    let topic = stage.topic("long");
    let count = if stage.capability().queues { 2 } else { 1 };
    let mut members = Vec::new();
    for _ in 0..count {
        let client = stage.client().await?;
        let options = if count == 1 { options.clone() } else { options.clone().queue(stage.queue("q")) };
        members.push(Holder {
            subscription: stage.subscribe(&client, &topic, options).await?,
            held: Vec::new(),
            most: 0,
        });
    }
    stage.publish(&broker, &topic, keyed(&stage, 0..RUN)).await?;
    let mut random = fastrand::Rng::with_seed(33);
    let mut done = BTreeSet::new();
    let until = Instant::now() + stage.limits().present * 2;
    while done.len() < RUN {
        ensure!(Instant::now() < until, "{} of {RUN} were acknowledged in time; held are {members:?}", done.len());
        for member in &mut members {
            member.pull_and_answer(&stage, &mut random, &mut done).await?;
        }
    }
    for member in &members {
        ensure!(member.most == LIMIT, "never more than {} were out with a member that may have {LIMIT}", member.most);
    }
    Ok(())
}

/// As many as may be out with one member, and the messages of a run.
const LIMIT: usize = 5;
const RUN: usize = 200;

/// A member, and what is out with it.
#[derive(Debug)]
struct Holder {
    subscription: Box<dyn Subscription>,
    held: Vec<Delivery>,
    /// As many as there were at most.
    most: usize,
}

impl Holder {
    /// Takes all that it gets, and answers some of what it has, one way or the other.
    async fn pull_and_answer(
        &mut self,
        stage: &Stage,
        random: &mut fastrand::Rng,
        done: &mut BTreeSet<usize>,
    ) -> Result<(), Failed> {
        if let Ok(next) = tokio::time::timeout(Duration::from_millis(20), self.subscription.next(64)).await {
            self.held.extend(next?.ok_or_else(|| Failed::new("the subscription ended"))?);
        }
        self.most = self.most.max(self.held.len());
        ensure!(self.most <= LIMIT, "{} are out with a member that may have {LIMIT}: {:?}", self.most, self.held);
        let mut answers = Vec::new();
        for _ in 0..random.usize(0..=self.held.len()) {
            let delivery = self.held.swap_remove(random.usize(0..self.held.len()));
            let answer = match random.u8(0..5) {
                0 if stage.capability().retry => Settle::Retry(Duration::from_millis(random.u64(0..10))),
                1 => Settle::Release,
                _ => Settle::Ack,
            };
            let number = number(&delivery)?;
            let again = if answer == Settle::Ack { !done.insert(number) } else { done.contains(&number) };
            ensure!(!again, "{number} came again after it was acknowledged");
            answers.push(send(delivery, answer));
        }
        stage.present("the answers' confirmations", try_join_all(answers)).await??;
        Ok(())
    }
}
