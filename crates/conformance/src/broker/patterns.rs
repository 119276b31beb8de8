//! B09: subscriptions to a pattern of topics.

use std::collections::BTreeSet;

use micro_core::broker::{Message, Pattern, SubscribeOptions, Subscription, Topic};

use super::Stage;
use super::stage::numbered;
use crate::Failed;
use crate::case::rules;
use crate::failed::ensure;

rules! { broker:
    B09 a_pattern_means_exactly_its_topics [Wildcard, Queues] "a.* and a.> get exactly what is published to their topics, those made later too, each delivery by its topic's name; in a queue each comes once, and the limit of what is out is one over all topics";
}

async fn a_pattern_means_exactly_its_topics(stage: Stage) -> Result<(), Failed> {
    let broker = stage.client().await?;
    let (root, other) = (stage.topic("t"), stage.topic("tt"));
    let named = |name: &str| Topic::new(name.replace("ROOT", root.as_str()));
    let mut early = ["ROOT", "ROOT.a", "ROOT.a.x"].map(named).into_iter().collect::<Result<Vec<_>, _>>()?;
    for topic in &early {
        stage.publish(&broker, topic, vec![Message::new("before")]).await?;
    }
    let mut subscriptions = Vec::new();
    for (pattern, queue) in PATTERNS {
        let pattern = Pattern::new(pattern.replace("ROOT", root.as_str()))?;
        let options = SubscribeOptions::new();
        let options = if queue { options.queue(stage.queue("q")).in_flight(2) } else { options };
        let subscribed = stage.present("subscribe", broker.subscribe_pattern(&pattern, options)).await??;
        ensure!(subscribed.topic().is_none(), "the subscription of {pattern} says it is of one topic");
        subscriptions.push((pattern, subscribed));
    }
    // A queue begins with what is there.
    let (pattern, queue) = &mut subscriptions[0];
    let meant: BTreeSet<_> = early.iter().filter(|topic| pattern.matches(topic)).cloned().collect();
    let came = take(&stage, queue, meant.len(), "before").await?;
    ensure!(came == meant, "the queue began with {came:?}, not with {meant:?}");

    early.extend(
        ["ROOT.b", "ROOT.b.x", "ROOT.a.x.y", "ROOT-a.b"].map(named).into_iter().collect::<Result<Vec<_>, _>>()?,
    );
    early.push(Topic::new(format!("{other}.a"))?);
    for topic in &early {
        stage.publish(&broker, topic, vec![Message::new("published")]).await?;
    }
    exactly(&stage, &mut subscriptions, &early).await?;
    one_limit(&stage, &root, &mut subscriptions).await?;
    for (_, subscription) in subscriptions {
        stage.present("unsubscribe", subscription.unsubscribe()).await??;
    }
    Ok(())
}

/// Patterns, and whether a queue subscribes to them.
const PATTERNS: [(&str, bool); 5] =
    [("ROOT.*", true), ("ROOT.*", false), ("ROOT.>", false), ("ROOT.*.x", false), ("ROOT.a", false)];

type Subscribed = (Pattern, Box<dyn Subscription>);

/// Checks that to each comes what its pattern means of these topics, and nothing else.
async fn exactly(stage: &Stage, subscriptions: &mut [Subscribed], topics: &[Topic]) -> Result<(), Failed> {
    for (pattern, subscription) in subscriptions.iter_mut() {
        let meant: BTreeSet<_> = topics.iter().filter(|topic| pattern.matches(topic)).cloned().collect();
        let came = take(stage, subscription, meant.len(), "published").await?;
        ensure!(came == meant, "to {pattern} came {came:?}, and meant are {meant:?}");
        stage.silence(subscription).await?;
    }
    Ok(())
}

/// Checks that of the queue no more is out than may be, over three topics.
async fn one_limit(stage: &Stage, root: &Topic, subscriptions: &mut [Subscribed]) -> Result<(), Failed> {
    let broker = stage.client().await?;
    for name in ["a", "b", "c"] {
        stage.publish(&broker, &Topic::new(format!("{root}.{name}"))?, numbered(0..2)).await?;
    }
    let (_, queue) = &mut subscriptions[0];
    for _ in 0..3 {
        let held = stage.take(queue, 2).await?;
        stage.silence(queue).await?;
        for delivery in held {
            stage.present("the answer's confirmation", delivery.ack()).await??;
        }
    }
    stage.silence(queue).await
}

/// Takes so many and acknowledges them; returns the topics they came from, none of which may come twice.
async fn take(
    stage: &Stage,
    subscription: &mut Box<dyn Subscription>,
    count: usize,
    body: &str,
) -> Result<BTreeSet<Topic>, Failed> {
    let mut came = BTreeSet::new();
    for _ in 0..count {
        let delivery = stage.take_one(subscription).await?;
        let topic = delivery.topic().clone();
        ensure!(delivery.body() == body, "{topic} brought {:?}", String::from_utf8_lossy(delivery.body()));
        ensure!(came.insert(topic.clone()), "the message of {topic} came twice");
        stage.present("the answer's confirmation", delivery.ack()).await??;
    }
    Ok(came)
}
