//! B80 to B96: from the making of a client to its end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use micro_core::Kind;
use micro_core::broker::SubscribeOptions;

use super::Stage;
use super::hurry::{a_next_that_is_dropped_loses_nothing, subscribing_and_leaving_in_a_hurry_never_hangs};
use super::stage::{number, numbered};
use crate::Failed;
use crate::case::rules;
use crate::failed::ensure;

rules! { broker:
    B80 making_a_client_does_no_io [] "a client is made within 50 ms, and tells name, address and options before it is connected";
    B83 a_stopped_subscription_gives_no_more_and_still_takes_answers [Queues] "after stop nothing more is handed out, and what is out may be settled";
    B84 what_is_published_before_the_end_arrives [Queues, Backlog] "2,000 messages whose receipts nobody awaits arrive, though the client disconnects at once";
    B85 a_publish_amid_the_end_arrives_or_says_so [Queues, Backlog] "each publish amid a disconnect resolves: confirmed and there, or an error";
    B86 the_end_may_be_asked_for_often [] "ten disconnects at once succeed, and a waiting next ends";
    B87 dropping_without_closing_hurts_nobody [] "a client and its subscription that are dropped leave another client at work";
    B88 after_the_end_everything_is_closed [] "publish, subscribe and ready after a disconnect say Closed";
    B89 after_unsubscribe_others_live_on [] "one subscription that ends does not disturb another";
    B90 subscribing_again_gets_what_is_unsettled [Queues, Backlog] "a queue that is left and joined again gives all that was not settled";
    B91 many_clients_open_at_once [] "ten clients that are opened at once all work";
    B92 subscribing_and_leaving_in_a_hurry_never_hangs [] "in 200 random interleavings of subscribe, publish, next, stop, unsubscribe and disconnect none hangs, none fails but as Closed, and what is confirmed is there";
    B93 two_clients_are_independent [] "the end of one client is not that of another";
    B95 a_client_works_from_another_runtime [] "a client that was connected on one tokio runtime publishes and receives on another";
    B96 a_next_that_is_dropped_loses_nothing [] "200 waiting calls of next that are dropped at random moments, while messages arrive, lose none";
}

async fn making_a_client_does_no_io(stage: Stage) -> Result<(), Failed> {
    let (began, waited) = (Instant::now(), held_up());
    let client = stage.new_client();
    let took = began.elapsed().saturating_sub(held_up().saturating_sub(waited));
    ensure!(took < Duration::from_millis(50), "making it took {took:?}");
    ensure!(!client.name().is_empty(), "it has no name");
    let _ = (client.address(), client.options(), client.capability(), format!("{client:?}"));
    Ok(())
}

/// How long this thread has been ready to run while a busy machine ran others; nothing where the system does not say.
fn held_up() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = told.split_whitespace().nth(1).and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or_default())
}

async fn a_stopped_subscription_gives_no_more_and_still_takes_answers(stage: Stage) -> Result<(), Failed> {
    let (broker, topic, queue) = (stage.client().await?, stage.topic("t"), stage.queue("q"));
    let options = SubscribeOptions::new().queue(queue);
    let mut subscription = stage.subscribe(&broker, &topic, options.clone()).await?;
    stage.publish(&broker, &topic, numbered(0..10)).await?;
    let held = stage.take(&mut subscription, 5).await?;
    stage.present("stop", subscription.stop()).await?;
    let next = stage.present("next after stop", subscription.next(10)).await??;
    ensure!(next.is_none(), "{next:?} came after stop");
    let settled = held.iter().map(number).collect::<Result<BTreeSet<_>, _>>()?;
    for delivery in held {
        stage.present("an answer after stop", delivery.ack()).await??;
    }
    stage.present("unsubscribe", subscription.unsubscribe()).await??;
    let mut again = stage.subscribe(&broker, &topic, options).await?;
    let rest = stage.drain(&mut again, 5).await?;
    ensure!(rest.iter().all(|number| !settled.contains(number)), "{rest:?} came, of which some were settled");
    stage.silence(&mut again).await
}

async fn what_is_published_before_the_end_arrives(stage: Stage) -> Result<(), Failed> {
    let (publisher, reader, topic) = (stage.client().await?, stage.client().await?, stage.topic("t"));
    let receipts: Vec<_> =
        (0..2000).step_by(100).map(|from| publisher.publish(&topic, numbered(from..from + 100))).collect();
    stage.present("disconnect", publisher.disconnect()).await??;
    for receipts in receipts {
        stage.present("receipts", receipts.all()).await??;
    }
    let options = SubscribeOptions::new().queue(stage.queue("q")).in_flight(2000);
    let mut subscription = stage.subscribe(&reader, &topic, options).await?;
    let came = stage.take(&mut subscription, 2000).await?;
    let numbers = came.iter().map(number).collect::<Result<BTreeSet<_>, _>>()?;
    ensure!(numbers.len() == 2000, "{} of 2,000 arrived, and some twice", numbers.len());
    Ok(())
}

async fn a_publish_amid_the_end_arrives_or_says_so(stage: Stage) -> Result<(), Failed> {
    let (publisher, reader, topic) = (stage.client().await?, stage.client().await?, stage.topic("t"));
    let before = publisher.publish(&topic, numbered(0..50));
    let ending = {
        let publisher = Arc::clone(&publisher);
        tokio::spawn(async move { publisher.disconnect().await })
    };
    let amid: Vec<_> = (50..500).step_by(10).map(|from| publisher.publish(&topic, numbered(from..from + 10))).collect();
    let mut confirmed = BTreeSet::new();
    for (from, receipts) in std::iter::once((0, before)).chain((50..500).step_by(10).zip(amid)) {
        let results = stage.present("a receipt amid the end", receipts).await?;
        confirmed.extend((from..).zip(results).filter(|(_, result)| result.is_ok()).map(|(number, _)| number));
    }
    let ended = stage.present("disconnect", ending).await?;
    ended.map_err(|error| Failed::new(format!("disconnect panicked: {error}")))??;
    let options = SubscribeOptions::new().queue(stage.queue("q")).in_flight(1000);
    let mut subscription = stage.subscribe(&reader, &topic, options).await?;
    while !confirmed.is_empty() {
        let what = format!("{} confirmed messages did not arrive; the next", confirmed.len());
        for delivery in stage.present(&what, subscription.next(100)).await??.unwrap_or_default() {
            confirmed.remove(&number(&delivery)?);
            let parts = delivery.into_parts();
            let answer = micro_core::broker::Settlement::new(parts.token, micro_core::broker::Settle::Ack, 0);
            drop(parts.origin.settler.settle(vec![answer]));
        }
    }
    Ok(())
}

async fn the_end_may_be_asked_for_often(stage: Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    let mut subscription = stage.subscribe(&broker, &topic, SubscribeOptions::new()).await?;
    let waiting = tokio::spawn(async move { subscription.next(1).await });
    let ends = futures_util::future::join_all((0..10).map(|_| broker.disconnect()));
    for end in stage.present("ten disconnects", ends).await? {
        end?;
    }
    let next = stage.present("the end of a waiting next", waiting).await?;
    let next = next.map_err(|error| Failed::new(format!("next panicked: {error}")))?;
    ensure!(!matches!(next, Ok(Some(_))), "a delivery came after the end: {next:?}");
    Ok(())
}

async fn dropping_without_closing_hurts_nobody(stage: Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    let mut subscription = stage.subscribe(&broker, &topic, SubscribeOptions::new()).await?;
    {
        let dropped = stage.client().await?;
        let other = stage.subscribe(&dropped, &topic, SubscribeOptions::new()).await?;
        let _receipts = dropped.publish(&stage.topic("other"), numbered(0..10));
        drop(dropped);
        drop(other);
    }
    stage.publish(&broker, &topic, numbered(0..10)).await?;
    stage.drain(&mut subscription, 10).await?;
    Ok(())
}

async fn after_the_end_everything_is_closed(stage: Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    stage.publish(&broker, &topic, numbered(0..1)).await?;
    stage.present("disconnect", broker.disconnect()).await??;
    let published = stage.present("publish", broker.publish(&topic, numbered(0..1)).first()).await?;
    let subscribed = stage.present("subscribe", broker.subscribe(&topic, SubscribeOptions::new())).await?;
    let ready = stage.present("ready", broker.ready()).await?;
    for (what, error) in [("publish", published.err()), ("subscribe", subscribed.err()), ("ready", ready.err())] {
        let kind = error.as_ref().map(micro_core::Error::kind);
        ensure!(kind == Some(Kind::Closed), "{what} after the end: {kind:?}, {error:?}");
    }
    Ok(())
}

async fn after_unsubscribe_others_live_on(stage: Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    let gone = stage.subscribe(&broker, &topic, SubscribeOptions::new()).await?;
    let mut stays = stage.subscribe(&broker, &topic, SubscribeOptions::new()).await?;
    stage.present("unsubscribe", gone.unsubscribe()).await??;
    stage.publish(&broker, &topic, numbered(0..10)).await?;
    stage.drain(&mut stays, 10).await?;
    stage.silence(&mut stays).await
}

async fn subscribing_again_gets_what_is_unsettled(stage: Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    let options = SubscribeOptions::new().queue(stage.queue("q"));
    let mut subscription = stage.subscribe(&broker, &topic, options.clone()).await?;
    stage.publish(&broker, &topic, numbered(0..20)).await?;
    let settled = stage.drain(&mut subscription, 8).await?;
    drop(stage.take(&mut subscription, 4).await?);
    stage.present("unsubscribe", subscription.unsubscribe()).await??;
    let mut again = stage.subscribe(&broker, &topic, options).await?;
    let mut all = stage.drain(&mut again, 12).await?;
    all.extend(settled);
    all.sort_unstable();
    ensure!(all.iter().copied().eq(0..20), "settled before and come again, together: {all:?}");
    stage.silence(&mut again).await
}

async fn many_clients_open_at_once(stage: Stage) -> Result<(), Failed> {
    let clients = futures_util::future::join_all((0..10).map(|_| stage.client())).await;
    let clients = clients.into_iter().collect::<Result<Vec<_>, _>>()?;
    let topic = stage.topic("t");
    let mut subscription = stage.subscribe(&clients[0], &topic, SubscribeOptions::new()).await?;
    for (place, client) in clients.iter().enumerate() {
        stage.publish(client, &topic, numbered(place * 5..place * 5 + 5)).await?;
    }
    let mut came = stage.drain(&mut subscription, 50).await?;
    came.sort_unstable();
    ensure!(came.iter().copied().eq(0..50), "{came:?} came of ten clients");
    Ok(())
}

async fn two_clients_are_independent(stage: Stage) -> Result<(), Failed> {
    let (one, two, topic) = (stage.client().await?, stage.client().await?, stage.topic("t"));
    let mut subscription = stage.subscribe(&two, &topic, SubscribeOptions::new()).await?;
    stage.publish(&one, &topic, numbered(0..5)).await?;
    stage.present("disconnect", one.disconnect()).await??;
    stage.publish(&two, &topic, numbered(5..10)).await?;
    let mut came = stage.drain(&mut subscription, 10).await?;
    came.sort_unstable();
    ensure!(came.iter().copied().eq(0..10), "{came:?} came");
    Ok(())
}

async fn a_client_works_from_another_runtime(stage: Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    let there = {
        let (stage, broker, topic) = (stage.clone(), Arc::clone(&broker), topic.clone());
        move || -> Result<(), Failed> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| Failed::new(format!("no second runtime: {error}")))?;
            runtime.block_on(async {
                let mut subscription = stage.subscribe(&broker, &topic, SubscribeOptions::new()).await?;
                stage.publish(&broker, &topic, numbered(0..10)).await?;
                stage.drain(&mut subscription, 10).await.map(drop)
            })
        }
    };
    let done = tokio::task::spawn_blocking(there).await;
    done.map_err(|error| Failed::new(format!("it panicked on the second runtime: {error}")))??;
    // And the first one still works.
    let mut subscription = stage.subscribe(&broker, &topic, SubscribeOptions::new()).await?;
    stage.publish(&broker, &topic, numbered(10..20)).await?;
    stage.drain(&mut subscription, 10).await.map(drop)
}
