//! What a user may do wrong, and what he reads then.

use std::time::{Duration, Instant};

use micro_broker_kafka::Kafka;
use micro_core::broker::{Broker, Message, SubscribeOptions};
use micro_core::{Error, Kind};
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use crate::world::{address, broker, broker_at, handle, member, queue, texts, topic, within};

/// A port where nobody listens.
fn dead_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn refused(address: &str) -> (Error, Duration) {
    let began = Instant::now();
    let error = within("answer", Kafka::at(address).unwrap().connect()).await.unwrap_err();
    (error, began.elapsed())
}

#[tokio::test]
async fn making_a_broker_does_no_io() {
    let began = Instant::now();
    let broker = Kafka::at("kafka://u:hush@192.0.2.1:9092").unwrap();
    assert!(began.elapsed() < Duration::from_millis(50));
    assert!(!format!("{broker:?}").contains("hush"), "{broker:?}");
    assert_eq!(broker.address(), "192.0.2.1:9092");
    let error = broker.publish(&topic("t"), vec![Message::new("")]).first().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Closed);
    assert!(broker.subscribe(&topic("t"), SubscribeOptions::new()).await.is_err());
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_within_the_limit() {
    let port = dead_port();
    let (error, took) = refused(&format!("kafka://u:hush@127.0.0.1:{port}?connect_timeout_ms=1500")).await;
    assert_eq!(error.kind(), Kind::Unavailable);
    let text = error.to_string();
    for word in [&port.to_string(), "1.5s", "look whether the servers are up", "refused"] {
        assert!(text.contains(word), "{text}");
    }
    assert!(!text.contains("hush") && took < Duration::from_secs(10), "{text} {took:?}");
}

#[tokio::test]
async fn one_server_of_the_list_that_answers_is_enough() {
    let shared = micro_faults::kafka::shared().unwrap().bootstrap();
    let (one, two) = (dead_port(), dead_port());
    let broker = broker_at(&format!("kafka://127.0.0.1:{one},{shared},127.0.0.1:{two}?replication=1")).await;
    let topic = topic("list");
    within("receipt", broker.publish(&topic, texts("m", 1)).first()).await.unwrap();
    broker.disconnect().await.unwrap();
}

#[tokio::test]
async fn an_unknown_host_is_named() {
    let (error, _) = refused("kafka://no-such-host.invalid:9092?connect_timeout_ms=1500").await;
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.to_string().contains("no-such-host.invalid"), "{error}");
}

#[tokio::test]
async fn a_topic_that_may_not_be_created_is_not_found() {
    let broker = broker_at(&address("&create=false")).await;
    let topic = topic("forbidden");
    let error = within("receipt", broker.publish(&topic, texts("m", 1)).first()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.to_string().contains("create=false forbids"), "{error}");
    for options in [SubscribeOptions::new(), member(&queue("q"))] {
        let error = within("answer", broker.subscribe(&topic, options)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound, "{error}");
        assert_eq!(error.context("topic"), Some(topic.as_str()));
    }
    broker.disconnect().await.unwrap();
}

#[tokio::test]
async fn more_copies_than_servers_are_refused_by_name() {
    let shared = micro_faults::kafka::shared().unwrap().bootstrap();
    let broker = broker_at(&format!("kafka://{shared}?replication=3")).await;
    let error = within("receipt", broker.publish(&topic("copies"), texts("m", 1)).first()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.to_string().contains("?replication="), "{error}");
    broker.disconnect().await.unwrap();
}

#[tokio::test]
async fn a_topic_is_created_with_the_partitions_and_configs_of_the_address() {
    let broker = broker_at(&address("&partitions=3&topic.retention.ms=1234567")).await;
    let topic = topic("config");
    within("receipt", broker.publish(&topic, texts("m", 1)).first()).await.unwrap();
    let admin = crate::raw::admin();
    let options = rdkafka::admin::AdminOptions::new().request_timeout(Some(Duration::from_secs(20)));
    let resource = rdkafka::admin::ResourceSpecifier::Topic(topic.as_str());
    let configs = admin.describe_configs([&resource], &options).await.unwrap().remove(0).unwrap();
    let retention = configs.get("retention.ms").and_then(|entry| entry.value.clone());
    assert_eq!(retention.as_deref(), Some("1234567"));
    let metadata = admin.inner().fetch_metadata(Some(topic.as_str()), Duration::from_secs(20)).unwrap();
    assert_eq!(metadata.topics()[0].partitions().len(), 3);
    broker.disconnect().await.unwrap();

    let broker = broker_at(&address("&topic.retention.hours=1")).await;
    let error = within("receipt", broker.publish(&crate::world::topic("config"), texts("m", 1)).first()).await;
    assert!(error.unwrap_err().to_string().contains("cannot be created"));
    broker.disconnect().await.unwrap();
}

#[tokio::test]
async fn a_message_over_the_servers_limit_is_too_large_and_the_next_one_goes_on() {
    // Here up to 4 MB are allowed; the topic takes less.
    let broker = broker_at(&address("&max_message_bytes=4000000&topic.max.message.bytes=100000")).await;
    let topic = topic("large");
    let messages = [Message::new(vec![7; 200_000]), Message::new("small")];
    let results = within("receipts", broker.publish(&topic, messages[..1].to_vec())).await;
    let error = results.into_iter().next().unwrap().unwrap_err();
    assert_eq!(error.kind(), Kind::TooLarge, "{error}");
    assert!(error.to_string().contains("max.message.bytes"), "{error}");
    within("receipt", broker.publish(&topic, messages[1..].to_vec()).first()).await.unwrap();
    broker.disconnect().await.unwrap();
}

#[tokio::test]
async fn a_queue_that_others_share_in_another_way_is_refused_by_name() {
    let broker = broker().await;
    let (topic, queue) = (topic("protocol"), queue("q"));
    within("receipt", broker.publish(&topic, texts("m", 1)).first()).await.unwrap();
    let mut config = crate::raw::config();
    config.set("group.id", queue.as_str()).set("partition.assignment.strategy", "range");
    config.set("session.timeout.ms", "6000").set("auto.offset.reset", "earliest");
    let other: BaseConsumer = config.create().unwrap();
    other.subscribe(&[topic.as_str()]).unwrap();
    let other = tokio::task::spawn_blocking(move || {
        let began = Instant::now();
        while other.poll(Duration::from_millis(100)).is_none() {
            assert!(began.elapsed() < Duration::from_secs(30), "the other member gets nothing");
        }
        other
    });
    let other = other.await.unwrap();
    let error = within("answer", broker.subscribe(&topic, member(&queue))).await.unwrap_err();
    assert_eq!(error.kind(), Kind::FailedPrecondition);
    assert!(error.to_string().contains(queue.as_str()) && error.to_string().contains("dialect=gomicro"), "{error}");
    drop(other);
    broker.disconnect().await.unwrap();
}

#[tokio::test]
async fn an_offset_that_retention_removed_is_warned_of_and_reading_goes_on() {
    let broker = broker_at(&address("&partitions=1")).await;
    let (topic, queue) = (topic("removed"), queue("q"));
    let mut one = broker.subscribe(&topic, member(&queue)).await.unwrap();
    within("receipts", broker.publish(&topic, texts("m", 10)).all()).await.unwrap();
    assert_eq!(handle(&mut *one, 3).await.len(), 3);
    within("unsubscribe", one.unsubscribe()).await.unwrap();
    crate::raw::delete_before(&topic, 8).await;
    let mut two = broker.subscribe(&topic, member(&queue)).await.unwrap();
    assert_eq!(handle(&mut *two, 2).await, ["m8", "m9"]);
    // It does not come again, and the queue is behind nothing.
    within("unsubscribe", two.unsubscribe()).await.unwrap();
    assert_eq!(crate::raw::committed(&topic, queue.as_str(), 0).0, Some(10));
    broker.disconnect().await.unwrap();
}

#[tokio::test]
async fn a_topic_that_is_deleted_ends_its_subscription_with_a_reason() {
    let broker = broker_at(&address("&partitions=1")).await;
    let topic = topic("deleted");
    let mut one = broker.subscribe(&topic, member(&queue("q"))).await.unwrap();
    within("receipts", broker.publish(&topic, texts("m", 1)).all()).await.unwrap();
    assert_eq!(handle(&mut *one, 1).await, ["m0"]);
    crate::raw::delete(&topic).await;
    let error = within("end", one.next(1)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound, "{error}");
    assert_eq!(error.context("topic"), Some(topic.as_str()));
    broker.disconnect().await.unwrap();
}

#[tokio::test]
async fn more_than_may_be_on_its_way_is_refused_and_ready_waits() {
    let mut setup = micro_faults::kafka::Setup::new();
    setup = setup.property("auto.create.topics.enable", "false");
    let server = tokio::task::spawn_blocking(move || micro_faults::kafka::Kafka::start(&setup).unwrap()).await.unwrap();
    let broker = broker_at(&format!("kafka://{}?timeout_ms=60000", server.bootstrap())).await;
    let topic = topic("full");
    within("receipt", broker.publish(&topic, texts("m", 1)).first()).await.unwrap();
    server.pause(1).unwrap();
    let mut receipts = Vec::new();
    for _ in 0..27 {
        receipts.push(broker.publish(&topic, texts("m", 10_000)));
    }
    assert!(tokio::time::timeout(Duration::from_millis(300), broker.ready()).await.is_err(), "ready does not wait");
    server.resume(1).unwrap();
    within("room", broker.ready()).await.unwrap();
    let (mut sent, mut refused) = (0, 0);
    for receipt in receipts {
        for result in within("receipts", receipt).await {
            match result {
                Ok(_) => sent += 1,
                Err(error) => {
                    assert_eq!(error.kind(), Kind::ResourceExhausted, "{error}");
                    refused += 1;
                }
            }
        }
    }
    assert_eq!((sent, refused), (262_144, 270_000 - 262_144));
    broker.disconnect().await.unwrap();
}
