//! B107 and B108: a server of several nodes, of which one is down, and all.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use micro_core::broker::{Broker, SubscribeOptions, Subscription, Topic};

use super::Stage;
use super::outage::{acknowledge_unwaited, blocking, connected, publish_on};
use super::stage::{number, numbered};
use crate::Failed;
use crate::case::rules;
use crate::failed::ensure;

rules! { broker:
    B107 while_one_node_is_down_everything_goes_on [Cluster, Queues, Persistent] "while any one node of a cluster is down, what is published is confirmed and arrives, and nothing settled comes again";
    B108 after_a_total_outage_what_was_sent_is_what_is_received [Cluster, Queues, Persistent] "after all nodes of a cluster went down one by one and came back, a subscription goes on, and receives all that was confirmed";
}

/// As many messages show that it goes on.
const MEANWHILE: usize = 40;

async fn while_one_node_is_down_everything_goes_on(stage: Stage) -> Result<(), Failed> {
    let server = stage.server().await?;
    let (publisher, reader) = (connected(&stage, &server).await?, connected(&stage, &server).await?);
    let (topic, queue) = (stage.topic("t"), stage.queue("q"));
    let mut subscription = stage.subscribe(&reader, &topic, SubscribeOptions::new().queue(queue)).await?;
    let mut settled = BTreeSet::new();
    exchange(&stage, &publisher, &topic, &mut subscription, &mut settled).await?;
    for node in 1..=stage.nodes() {
        blocking(&server, move |server| server.kill_node(node)).await?;
        let meanwhile = exchange(&stage, &publisher, &topic, &mut subscription, &mut settled).await;
        meanwhile.map_err(|failed| Failed::new(format!("while node {node} of {} is down: {failed}", stage.nodes())))?;
        blocking(&server, move |server| server.start_node(node)).await?;
    }
    exchange(&stage, &publisher, &topic, &mut subscription, &mut settled).await?;
    stage.silence(&mut subscription).await
}

/// Publishes the next messages, and sees each of them confirmed and settled. What was in hand when its confirmation was
/// lost may come again, what was settled may not.
async fn exchange(
    stage: &Stage,
    publisher: &Arc<dyn Broker>,
    topic: &Topic,
    subscription: &mut Box<dyn Subscription>,
    settled: &mut BTreeSet<usize>,
) -> Result<(), Failed> {
    let wanted = settled.len()..settled.len() + MEANWHILE;
    stage.publish(publisher, topic, numbered(wanted.clone())).await?;
    while settled.len() < wanted.end {
        let what = format!("{} of {} messages are settled; the next", settled.len(), wanted.end);
        let next = stage.present(&what, subscription.next(MEANWHILE)).await??;
        let deliveries = next.ok_or_else(|| Failed::new("the subscription ended"))?;
        for delivery in deliveries {
            let number = number(&delivery)?;
            ensure!(!settled.contains(&number), "{number} was settled, and came again");
            // Where its share went to another hand meanwhile it is not settled, and comes again.
            if stage.present("the answer's confirmation", delivery.ack()).await?.is_ok() {
                settled.insert(number);
            }
        }
    }
    Ok(())
}

async fn after_a_total_outage_what_was_sent_is_what_is_received(stage: Stage) -> Result<(), Failed> {
    let server = stage.server().await?;
    let (publisher, reader) = (connected(&stage, &server).await?, connected(&stage, &server).await?);
    let (topic, queue) = (stage.topic("t"), stage.queue("q"));
    let mut subscription = stage.subscribe(&reader, &topic, SubscribeOptions::new().queue(queue)).await?;
    let ended = Arc::new(AtomicBool::new(false));
    let publishing = tokio::spawn(publish_on(publisher, topic, Arc::clone(&ended)));
    let mut received = BTreeSet::new();
    receive(&stage, &mut subscription, &mut received, "the first").await?;
    // One by one, so that the last to go has what the others lack.
    for node in 1..=stage.nodes() {
        blocking(&server, move |server| server.kill_node(node)).await?;
        tokio::time::sleep(stage.limits().absent).await;
    }
    blocking(&server, |server| server.start()).await?;
    let before = received.len();
    while received.len() < before + MEANWHILE {
        receive(&stage, &mut subscription, &mut received, "messages after the return").await?;
    }
    ended.store(true, Ordering::Release);
    let confirmed = stage.present("publishing", publishing).await?;
    let confirmed = confirmed.map_err(|error| Failed::new(format!("the publisher panicked: {error}")))?;
    loop {
        let missing = confirmed.iter().filter(|number| !received.contains(number)).count();
        if missing == 0 {
            return Ok(());
        }
        let what = format!("{missing} of {} confirmed messages are missing; the next", confirmed.len());
        receive(&stage, &mut subscription, &mut received, &what).await?;
    }
}

/// Receives and acknowledges some. An answer that the outage swallows only brings the message again.
async fn receive(
    stage: &Stage,
    subscription: &mut Box<dyn Subscription>,
    received: &mut BTreeSet<usize>,
    what: &str,
) -> Result<(), Failed> {
    let next = stage.present(what, subscription.next(100)).await??;
    for delivery in next.ok_or_else(|| Failed::new("the subscription ended"))? {
        received.insert(number(&delivery)?);
        acknowledge_unwaited(delivery);
    }
    Ok(())
}
