//! B01 to B13: where messages go, and that they arrive as they were.

use micro_core::broker::SubscribeOptions;

use super::Stage;
use super::cases::rules;
use super::stage::{number, numbered};
use crate::Failed;
use crate::failed::ensure;

rules! {
    B01 a_published_message_arrives_as_it_was [] "each message arrives once, with its id, bytes and headers, and no other";
    B02 topics_are_apart [] "a subscriber of one topic gets nothing of another";
}

async fn a_published_message_arrives_as_it_was(stage: Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    let mut subscription = stage.subscribe(&broker, &topic, SubscribeOptions::new()).await?;
    let sent: Vec<_> = numbered(0..100)
        .into_iter()
        .enumerate()
        .map(|(number, message)| message.header("Micro-Id", format!("id-{number}")).header("Tenant", "acme"))
        .collect();
    stage.publish(&broker, &topic, sent.clone()).await?;
    let mut came = stage.take(&mut subscription, 100).await?;
    came.sort_by_key(|delivery| number(delivery).unwrap_or(usize::MAX));
    for (delivery, sent) in came.iter().zip(&sent) {
        ensure!(delivery.body() == &sent.body, "{:?} came for {:?}", delivery.body(), sent.body);
        ensure!(delivery.id() == sent.headers.get("Micro-Id").unwrap_or_default(), "the id is {:?}", delivery.id());
        ensure!(delivery.headers().get_str("Tenant") == Some("acme"), "headers came as {:?}", delivery.headers());
        ensure!(*delivery.topic() == topic, "it says that it came from {}", delivery.topic());
    }
    for delivery in came {
        stage.present("the answer's confirmation", delivery.ack()).await??;
    }
    stage.silence(&mut subscription).await
}

async fn topics_are_apart(stage: Stage) -> Result<(), Failed> {
    let (broker, one, two) = (stage.client().await?, stage.topic("one"), stage.topic("two"));
    let mut first = stage.subscribe(&broker, &one, SubscribeOptions::new()).await?;
    let mut second = stage.subscribe(&broker, &two, SubscribeOptions::new()).await?;
    stage.publish(&broker, &one, numbered(0..10)).await?;
    stage.publish(&broker, &two, numbered(10..20)).await?;
    for (subscription, wanted) in [(&mut first, 0..10), (&mut second, 10..20)] {
        let mut came = stage.drain(subscription, 10).await?;
        came.sort_unstable();
        ensure!(came.iter().copied().eq(wanted.clone()), "{came:?} came where {wanted:?} was published");
        stage.silence(subscription).await?;
    }
    Ok(())
}
