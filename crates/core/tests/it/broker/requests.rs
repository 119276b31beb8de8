use std::sync::Arc;
use std::time::Duration;

use micro_core::Kind;
use micro_core::address::Address;
use micro_core::broker::{Broker, BrokerOptions, Memory, Message, ReplyTo, SubscribeOptions, Topic};

use super::support::*;

/// Asks in a task of its own.
fn asked(
    broker: &Arc<Memory>,
    topic: &Topic,
    body: &str,
    within: Duration,
) -> tokio::task::JoinHandle<micro_core::Result<Message>> {
    let (broker, topic, message) = (Arc::clone(broker), topic.clone(), Message::new(body.to_owned()));
    tokio::spawn(async move { broker.request(&topic, message, within).await })
}

#[tokio::test]
async fn the_first_reply_counts_and_later_ones_harm_nobody() {
    let (broker, topic) = (Arc::new(connected().await), topic("asked.twice"));
    let mut first = broker.subscribe(&topic, of("q")).await.unwrap();
    let mut second = broker.subscribe(&topic, SubscribeOptions::new()).await.unwrap();
    let asking = asked(&broker, &topic, "how?", LIMIT);
    let (one, other) = (one(&mut first).await, one(&mut second).await);
    assert_eq!(one.reply_to(), other.reply_to());
    let to = one.reply_to().unwrap();
    broker.reply(&to, Message::new("so").header("By", "first")).first().await.unwrap();
    broker.reply(&to, Message::new("otherwise")).first().await.unwrap();
    let reply = asking.await.unwrap().unwrap();
    assert_eq!((&reply.body[..], reply.headers.get_str("By")), (&b"so"[..], Some("first")));
}

#[tokio::test]
async fn a_request_is_not_delivered_when_its_time_is_over() {
    let (broker, topic) = (connected().await, topic("asked.late"));
    let mut subscription = broker.subscribe(&topic, of("q").in_flight(1)).await.unwrap();
    publish(&broker, &topic, ["before"]).await;
    let before = one(&mut subscription).await;
    let error = broker.request(&topic, Message::new("late"), Duration::from_millis(50)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout, "{error}");
    before.ack().await.unwrap();
    silent(&mut subscription).await;
}

#[tokio::test]
async fn an_absent_queue_is_no_responder_and_a_message_is_no_request() {
    let (broker, topic) = (connected().await, topic("asked.nobody"));
    let mut subscription = broker.subscribe(&topic, of("q")).await.unwrap();
    publish(&broker, &topic, ["plain"]).await;
    let plain = one(&mut subscription).await;
    assert_eq!(plain.reply_to(), None);
    plain.ack().await.unwrap();
    subscription.unsubscribe().await.unwrap();
    let error = broker.request(&topic, Message::new("?"), LIMIT).await.unwrap_err();
    assert_eq!((error.kind(), error.context("topic")), (Kind::NoResponder, Some("asked.nobody")));
    // Another attempt may find somebody, and cannot do anything twice.
    assert_eq!((error.code(), error.retry()), (503, micro_core::Retry::After(Duration::from_millis(100))));
    // Nor does the queue find it when it returns.
    silent(&mut broker.subscribe(&topic, of("q")).await.unwrap()).await;
}

#[tokio::test]
async fn a_disconnect_ends_the_requests_of_its_client_only() {
    let (leaving, topic) = (Arc::new(connected().await), topic("asked.leaving"));
    let staying = Arc::new(Memory::clone(&leaving));
    let mut subscription = staying.subscribe(&topic, of("q")).await.unwrap();
    let (ended, replied) = (asked(&leaving, &topic, "1", LIMIT), asked(&staying, &topic, "2", LIMIT));
    let held = hold(&mut subscription, 2).await;
    leaving.disconnect().await.unwrap();
    assert_eq!(ended.await.unwrap().unwrap_err().kind(), Kind::Closed);
    for delivery in held {
        let to = delivery.reply_to().unwrap();
        staying.reply(&to, Message::new(text(&delivery))).first().await.unwrap();
    }
    assert_eq!(replied.await.unwrap().unwrap().body, "2");
    assert_eq!(leaving.request(&topic, Message::new(""), LIMIT).await.unwrap_err().kind(), Kind::Closed);
}

#[tokio::test]
async fn a_request_waits_for_room_no_longer_than_its_time() {
    let broker = Memory::new();
    broker.init(BrokerOptions::new().address(Address::parse("memory://?limit=2").unwrap())).unwrap();
    broker.connect().await.unwrap();
    let (broker, topic) = (Arc::new(broker), topic("asked.full"));
    let mut subscription = broker.subscribe(&topic, of("q")).await.unwrap();
    publish(&broker, &topic, ["1", "2"]).await;
    let error = broker.request(&topic, Message::new("3"), Duration::from_millis(50)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout, "{error}");
    let asking = asked(&broker, &topic, "4", LIMIT);
    assert_eq!(drain(&mut subscription, 2).await, ["1", "2"]);
    let request = one(&mut subscription).await;
    assert_eq!(text(&request), "4");
    broker.reply(&request.reply_to().unwrap(), Message::new("5")).first().await.unwrap();
    assert_eq!(asking.await.unwrap().unwrap().body, "5");
}

#[tokio::test]
async fn what_is_no_reply_and_what_is_not_declared_is_refused() {
    let broker = connected().await;
    let to = ReplyTo::new("elsewhere/7");
    let error = broker.reply(&to, Message::new("")).first().await.unwrap_err();
    assert!(error.kind() == Kind::InvalidArgument && error.to_string().contains("elsewhere/7"), "{error}");
    let late = Message::new("").delay(Duration::from_secs(1));
    let to = ReplyTo::new("memory/7");
    assert_eq!(broker.reply(&to, late).first().await.unwrap_err().kind(), Kind::Unsupported);
    let poor = broker.restrict(|capability| capability.reply = false);
    assert_eq!(poor.reply(&to, Message::new("")).first().await.unwrap_err().kind(), Kind::Unsupported);
    let error = poor.request(&topic("asked.poor"), Message::new(""), LIMIT).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
}
