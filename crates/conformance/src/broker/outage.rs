//! B81, B100 to B105, B111: servers that die, are cut off, and were never there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use micro_core::Kind;
use micro_core::broker::{
    Broker, Delivery, HEALTH_LIMIT, Message, Settle, Settlement, Start, SubscribeOptions, Subscription, Topic,
};

use super::stage::{number, numbered};
use super::{Server, Stage};
use crate::Failed;
use crate::case::rules;
use crate::failed::ensure;

rules! { broker:
    B81 connecting_to_nobody_says_so_in_time [Nobody] "connecting to an address where nobody listens is an error within its limit, that names the address and hides the password";
    B100 what_is_confirmed_survives_a_killed_server [Server, Queues, Persistent] "every message whose receipt was given arrives, though the server is killed twice meanwhile";
    B101 after_a_cut_a_subscription_goes_on_by_itself [Server, Queues] "a subscription whose connection was cut comes back by itself, with its place in the queue";
    B102 a_half_open_connection_loses_nothing [Server, Queues] "while packets vanish nothing is confirmed, and when they flow again everything arrives";
    B103 what_is_published_while_the_server_is_down_arrives_or_says_so [Server, Queues, Persistent] "a publish while the server is down waits; it arrives after the return, or its receipt is an error";
    B111 health_tells_whether_the_server_answers [Server] "health says within 5 s that the server was cut off or swallows what is sent, never waits longer than 3 s, names the address, and is well after the heal; after the end it is Closed";
}

/// Runs what blocks beside the case.
pub(super) async fn blocking(
    server: &Arc<dyn Server>,
    change: impl FnOnce(&dyn Server) + Send + 'static,
) -> Result<(), Failed> {
    let server = Arc::clone(server);
    let done = tokio::task::spawn_blocking(move || change(&*server)).await;
    done.map_err(|error| Failed::new(format!("the server cannot be changed: {error}")))
}

pub(super) async fn connected(stage: &Stage, server: &Arc<dyn Server>) -> Result<Arc<dyn Broker>, Failed> {
    let client = server.client();
    stage.present("connect", client.connect()).await??;
    Ok(client)
}

/// Publishes in batches of 20, each when the one before has its receipts, until it is told to end; returns which numbers
/// are confirmed.
pub(super) async fn publish_on(broker: Arc<dyn Broker>, topic: Topic, ended: Arc<AtomicBool>) -> Vec<usize> {
    let mut confirmed = Vec::new();
    let mut begin = 0;
    while !ended.load(Ordering::Acquire) {
        // It may be full while the server is away; then the receipts say what became of the messages.
        let _ = broker.ready().await;
        let receipts = broker.publish(&topic, numbered(begin..begin + 20)).await;
        confirmed.extend((begin..).zip(receipts).filter(|(_, receipt)| receipt.is_ok()).map(|(number, _)| number));
        begin += 20;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    confirmed
}

/// Reads and acknowledges until all of these have come.
async fn read_all(stage: &Stage, subscription: &mut Box<dyn Subscription>, wanted: &[usize]) -> Result<(), Failed> {
    let mut missing: std::collections::BTreeSet<usize> = wanted.iter().copied().collect();
    while !missing.is_empty() {
        let what = format!("{} of {} confirmed messages are missing; the next", missing.len(), wanted.len());
        let next = stage.present(&what, subscription.next(100)).await??;
        let deliveries = next.ok_or_else(|| Failed::new("the subscription ended"))?;
        for delivery in deliveries {
            missing.remove(&number(&delivery)?);
            acknowledge_unwaited(delivery);
        }
    }
    Ok(())
}

async fn connecting_to_nobody_says_so_in_time(stage: Stage) -> Result<(), Failed> {
    let client = stage.nobody()?;
    let limit = stage.limits().present * 2;
    let outcome = tokio::time::timeout(limit, client.connect()).await;
    let Ok(Err(error)) = outcome else {
        return Err(Failed::new(format!("connecting to nobody: {outcome:?} after at most {limit:?}")));
    };
    ensure!(matches!(error.kind(), Kind::Unavailable | Kind::Timeout), "the kind is {:?}: {error}", error.kind());
    let text = format!("{error} {error:?} {client:?}");
    ensure!(text.contains("127.0.0.1"), "the error does not name the address: {error}");
    ensure!(!text.contains("secret"), "the error shows the password");
    Ok(())
}

async fn what_is_confirmed_survives_a_killed_server(stage: Stage) -> Result<(), Failed> {
    let server = stage.server().await?;
    let (publisher, reader) = (connected(&stage, &server).await?, connected(&stage, &server).await?);
    let (topic, queue) = (stage.topic("t"), stage.queue("q"));
    let mut subscription = stage.subscribe(&reader, &topic, SubscribeOptions::new().queue(queue)).await?;
    let ended = Arc::new(AtomicBool::new(false));
    let publishing = tokio::spawn(publish_on(publisher, topic.clone(), Arc::clone(&ended)));
    for _ in 0..2 {
        read_some(&stage, &mut subscription).await?;
        blocking(&server, |server| server.kill()).await?;
        // So that something is published while it is away, however fast it starts.
        tokio::time::sleep(stage.limits().absent).await;
        blocking(&server, |server| server.start()).await?;
    }
    read_some(&stage, &mut subscription).await?;
    ended.store(true, Ordering::Release);
    let confirmed = stage.present("publishing", publishing).await?;
    let confirmed = confirmed.map_err(|error| Failed::new(format!("the publisher panicked: {error}")))?;
    ensure!(!confirmed.is_empty(), "nothing was confirmed");
    let options = SubscribeOptions::new().queue(stage.queue("all")).start(Start::Earliest);
    let mut all = stage.subscribe(&reader, &topic, options).await?;
    read_all(&stage, &mut all, &confirmed).await
}

/// Acknowledges without waiting: an answer that the outage swallows only brings the message again.
pub(super) fn acknowledge_unwaited(delivery: Delivery) {
    let parts = delivery.into_parts();
    drop(parts.origin.settler.settle(vec![Settlement::new(parts.token, Settle::Ack, parts.attempts)]));
}

/// Reads what is there, and acknowledges it.
async fn read_some(stage: &Stage, subscription: &mut Box<dyn Subscription>) -> Result<(), Failed> {
    let next = stage.present("messages after the return", subscription.next(100)).await??;
    let deliveries = next.ok_or_else(|| Failed::new("the subscription ended"))?;
    deliveries.into_iter().for_each(acknowledge_unwaited);
    Ok(())
}

async fn after_a_cut_a_subscription_goes_on_by_itself(stage: Stage) -> Result<(), Failed> {
    let server = stage.server().await?;
    let (publisher, reader) = (connected(&stage, &server).await?, connected(&stage, &server).await?);
    let (topic, queue) = (stage.topic("t"), stage.queue("q"));
    let mut subscription = stage.subscribe(&reader, &topic, SubscribeOptions::new().queue(queue)).await?;
    stage.publish(&publisher, &topic, numbered(0..20)).await?;
    let mut before = stage.drain(&mut subscription, 20).await?;
    before.sort_unstable();
    ensure!(before.iter().copied().eq(0..20), "{before:?} came before the cut");
    blocking(&server, |server| server.cut()).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    blocking(&server, |server| server.heal()).await?;
    stage.publish(&publisher, &topic, numbered(20..40)).await?;
    let mut after = stage.drain(&mut subscription, 20).await?;
    after.sort_unstable();
    ensure!(
        after.iter().copied().eq(20..40),
        "{after:?} came after the cut: settled ones came again, or some are lost"
    );
    stage.silence(&mut subscription).await
}

async fn a_half_open_connection_loses_nothing(stage: Stage) -> Result<(), Failed> {
    let server = stage.server().await?;
    let (publisher, reader) = (connected(&stage, &server).await?, connected(&stage, &server).await?);
    let (topic, queue) = (stage.topic("t"), stage.queue("q"));
    let mut subscription = stage.subscribe(&reader, &topic, SubscribeOptions::new().queue(queue)).await?;
    stage.publish(&publisher, &topic, numbered(0..20)).await?;
    stage.drain(&mut subscription, 20).await?;
    blocking(&server, |server| server.hold()).await?;
    let mut receipts = publisher.publish(&topic, numbered(20..40));
    let early = tokio::time::timeout(Duration::from_secs(1), &mut receipts).await;
    ensure!(early.is_err(), "a message was confirmed that no packet took along: {early:?}");
    blocking(&server, |server| server.heal()).await?;
    stage.present("receipts after the heal", receipts.all()).await??;
    read_all(&stage, &mut subscription, &(20..40).collect::<Vec<_>>()).await
}

async fn what_is_published_while_the_server_is_down_arrives_or_says_so(stage: Stage) -> Result<(), Failed> {
    let server = stage.server().await?;
    let (publisher, reader) = (connected(&stage, &server).await?, connected(&stage, &server).await?);
    let (topic, queue) = (stage.topic("t"), stage.queue("q"));
    let mut subscription = stage.subscribe(&reader, &topic, SubscribeOptions::new().queue(queue)).await?;
    stage.publish(&publisher, &topic, vec![Message::new("1000")]).await?;
    stage.drain(&mut subscription, 1).await?;
    blocking(&server, |server| server.kill()).await?;
    let receipts = publisher.publish(&topic, numbered(0..20));
    tokio::time::sleep(Duration::from_secs(1)).await;
    blocking(&server, |server| server.start()).await?;
    let receipts = stage.present("receipts after the return", receipts).await?;
    let confirmed: Vec<usize> = (0..20).zip(receipts).filter(|(_, r)| r.is_ok()).map(|(number, _)| number).collect();
    read_all(&stage, &mut subscription, &confirmed).await
}

/// A server that went away is noticed within this time.
const NOTICED: Duration = Duration::from_secs(5);

async fn health_tells_whether_the_server_answers(stage: Stage) -> Result<(), Failed> {
    let server = stage.server().await?;
    let client = connected(&stage, &server).await?;
    asked(&client).await??;
    let away: [fn(&dyn Server); 2] = [|server| server.cut(), |server| server.hold()];
    for go in away {
        blocking(&server, go).await?;
        let error = ill_within(&client, NOTICED).await?;
        let fits = matches!(error.kind(), Kind::Unavailable | Kind::Timeout | Kind::Closed);
        ensure!(fits, "the kind is {:?}: {error}", error.kind());
        ensure!(error.to_string().contains(&client.address()), "the error does not name the address: {error}");
        blocking(&server, |server| server.heal()).await?;
        stage.present("health after the heal", well(&client)).await??;
    }
    stage.present("disconnect", client.disconnect()).await??;
    match asked(&client).await? {
        Err(error) if error.kind() == Kind::Closed => Ok(()),
        answer => Err(Failed::new(format!("the health after the end is {answer:?}, not Closed"))),
    }
}

/// Asks for the health, within its limit and the time that a busy machine takes.
async fn asked(client: &Arc<dyn Broker>) -> Result<micro_core::Result<()>, Failed> {
    let late = || Failed::new(format!("health had no answer within {HEALTH_LIMIT:?}"));
    tokio::time::timeout(HEALTH_LIMIT + Duration::from_millis(500), client.health()).await.map_err(|_| late())
}

async fn ill_within(client: &Arc<dyn Broker>, limit: Duration) -> Result<micro_core::Error, Failed> {
    let began = tokio::time::Instant::now();
    while began.elapsed() < limit {
        if let Err(error) = asked(client).await? {
            let after = began.elapsed();
            ensure!(after <= limit, "that it is ill was told after {after:?}");
            return Ok(error);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err(Failed::new(format!("health is well {limit:?} after the server went away")))
}

async fn well(client: &Arc<dyn Broker>) -> Result<(), Failed> {
    while asked(client).await?.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
