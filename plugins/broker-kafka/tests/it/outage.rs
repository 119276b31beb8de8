//! What happens when servers die, stand still and come back.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::join_all;
use micro_core::Kind;
use micro_core::broker::{Broker, Message, SubscribeOptions, Subscription, Topic};

use crate::own::Cluster;
use crate::world::{LIMIT, broker_at, handle, member, queue, text, texts, topic, within};

/// Takes everything until the expected number of different bodies was there. Checks that each key keeps its order, and that
/// nothing comes again whose settling was confirmed.
async fn drain(
    mut subscription: Box<dyn Subscription>,
    expected: Arc<AtomicUsize>,
    done: Arc<AtomicBool>,
) -> BTreeSet<String> {
    let mut bodies = BTreeSet::new();
    let settled = Arc::<Mutex<HashSet<String>>>::default();
    let mut last: HashMap<String, usize> = HashMap::new();
    let mut quiet = Instant::now();
    while !done.load(Ordering::Acquire) || bodies.len() < expected.load(Ordering::Acquire) {
        assert!(quiet.elapsed() < 2 * LIMIT, "{} of {}", bodies.len(), expected.load(Ordering::Acquire));
        let Ok(more) = tokio::time::timeout(Duration::from_millis(100), subscription.next(256)).await else { continue };
        let more = more.unwrap().unwrap();
        let mut acks = Vec::new();
        for delivery in more {
            let body = text(&delivery);
            let (key, number) = body.split_once(':').unwrap();
            let number: usize = number.parse().unwrap();
            if bodies.insert(body.clone()) {
                let before = last.insert(key.to_owned(), number);
                assert!(before.is_none_or(|before| before < number), "key {key}: {number} came after {before:?}");
            } else {
                assert!(!settled.lock().unwrap().contains(&body), "{body} came again though it was settled");
            }
            let settled = Arc::clone(&settled);
            acks.push(delivery.ack().map(move |confirmed| {
                if confirmed.is_ok() {
                    settled.lock().unwrap().insert(body);
                }
            }));
            quiet = Instant::now();
        }
        // During an outage a confirmation takes as long as that: it is not waited for.
        tokio::spawn(join_all(acks));
    }
    bodies
}

/// Publishes numbered messages of some keys in small batches, and returns those that were confirmed.
async fn publish(broker: &dyn Broker, topic: &Topic, keys: usize, numbers: std::ops::Range<usize>) -> Vec<String> {
    let mut sent = Vec::new();
    for number in numbers {
        let bodies: Vec<_> = (0..keys).map(|key| format!("{key}:{number}")).collect();
        let messages =
            bodies.iter().map(|body| Message::new(body.clone()).key(body.split(':').next().unwrap().to_owned()));
        broker.ready().await.unwrap();
        sent.push((broker.publish(topic, messages.collect()), bodies));
    }
    let mut confirmed = Vec::new();
    for (receipts, bodies) in sent {
        let results = within("receipts", receipts).await;
        confirmed.extend(bodies.into_iter().zip(results).filter(|(_, result)| result.is_ok()).map(|(body, _)| body));
    }
    confirmed
}

// features: D14
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_and_restarted_under_load_loses_nothing_confirmed_and_keeps_the_order() {
    let cluster = Cluster::start(1).await;
    let broker = broker_at(&cluster.address("partitions=4&timeout_ms=60000")).await;
    let (topic, queue) = (topic("killed"), queue("q"));
    let subscription = broker.subscribe(&topic, member(&queue).ordered()).await.unwrap();
    let (expected, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let reader = tokio::spawn(drain(subscription, Arc::clone(&expected), Arc::clone(&done)));

    let mut confirmed = publish(&broker, &topic, 10, 0..300).await;
    for round in 1..3 {
        let numbers = round * 300..(round + 1) * 300;
        let (more, ()) = tokio::join!(publish(&broker, &topic, 10, numbers), async {
            cluster.kill(1);
            tokio::time::sleep(Duration::from_millis(500)).await;
            cluster.restart(1).await;
        });
        confirmed.extend(more);
    }
    assert_eq!(confirmed.len(), 9_000, "within the deadline everything is confirmed");
    expected.store(confirmed.len(), Ordering::Release);
    done.store(true, Ordering::Release);
    let bodies = within("everything", reader).await.unwrap();
    assert!(confirmed.iter().all(|body| bodies.contains(body)));
    broker.disconnect().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_costs_the_deadline_and_is_named_and_all_goes_on_after_it() {
    let cluster = Cluster::start(1).await;
    let broker = broker_at(&cluster.address("partitions=1&timeout_ms=2000&connect_timeout_ms=2000")).await;
    let topic = topic("still");
    let mut all = broker.subscribe(&topic, SubscribeOptions::new()).await.unwrap();
    within("receipts", broker.publish(&topic, texts("before", 1)).all()).await.unwrap();
    assert_eq!(handle(&mut *all, 1).await, ["before0"]);
    cluster.pause(1);
    let began = Instant::now();
    let error = within("receipt", broker.publish(&topic, texts("lost", 1)).first()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    for word in ["timeout_ms", topic.as_str(), "127.0.0.1"] {
        assert!(error.to_string().contains(word), "{error}");
    }
    // A second program that comes now is told so.
    let other = micro_broker_kafka::Kafka::at(&cluster.address("connect_timeout_ms=1500")).unwrap();
    let error = within("answer", other.connect()).await.unwrap_err();
    assert!(matches!(error.kind(), Kind::Timeout | Kind::Unavailable), "{error}");
    // A subscription that is asked for now neither hangs nor comes.
    let subscribed = within("answer", broker.subscribe(&topic, member(&queue("q")))).await;
    assert!(matches!(subscribed.unwrap_err().kind(), Kind::Timeout | Kind::Unavailable));
    cluster.resume(1);
    let began = Instant::now();
    while broker.publish(&topic, texts("after", 1)).first().await.is_err() {
        assert!(began.elapsed() < LIMIT, "it does not go on");
    }
    let mut came = String::new();
    while came != "after0" {
        came = handle(&mut *all, 1).await.remove(0);
    }
    broker.disconnect().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_of_three_dies_then_all_and_nothing_confirmed_is_lost() {
    let cluster = Cluster::start(3).await;
    let broker =
        broker_at(&cluster.address("partitions=6&replication=3&timeout_ms=90000&topic.min.insync.replicas=2")).await;
    let (topic, queue) = (topic("three"), queue("q"));
    let subscription = within("subscription", broker.subscribe(&topic, member(&queue).ordered())).await.unwrap();
    let (expected, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let reader = tokio::spawn(drain(subscription, Arc::clone(&expected), Arc::clone(&done)));
    let mut confirmed = publish(&broker, &topic, 10, 0..100).await;
    let strict = broker_at(&cluster.address("replication=3&timeout_ms=4000&topic.min.insync.replicas=3")).await;
    let all_three = crate::world::topic("strict");
    within("receipt", strict.publish(&all_three, texts("m", 1)).first()).await.unwrap();
    let (more, ()) = tokio::join!(publish(&broker, &topic, 10, 100..300), async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        cluster.kill(2);
    });
    confirmed.extend(more);
    assert_eq!(confirmed.len(), 3_000, "two of three go on");
    let error = within("receipt", strict.publish(&all_three, texts("m", 1)).first()).await.unwrap_err();
    assert!(matches!(error.kind(), Kind::Timeout | Kind::Unavailable), "{error}");
    assert!(error.to_string().contains("min.insync.replicas"), "{error}");
    within("disconnect", strict.disconnect()).await.unwrap();
    // All of them, and all come back.
    let (more, ()) = tokio::join!(publish(&broker, &topic, 10, 300..500), async {
        cluster.kill(1);
        cluster.kill(3);
        tokio::time::sleep(Duration::from_secs(1)).await;
        tokio::join!(cluster.restart(1), cluster.restart(2), cluster.restart(3));
    });
    confirmed.extend(more);
    assert_eq!(confirmed.len(), 5_000);
    expected.store(confirmed.len(), Ordering::Release);
    done.store(true, Ordering::Release);
    let bodies = tokio::time::timeout(3 * LIMIT, reader).await.expect("everything comes").unwrap();
    assert!(confirmed.iter().all(|body| bodies.contains(body)));
    broker.disconnect().await.unwrap();
}
