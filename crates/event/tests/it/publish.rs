use std::time::Duration;

use bytes::Bytes;
use micro_core::address::Address;
use micro_core::broker::{Broker, BrokerOptions, Memory, Message, SubscribeOptions, Topic};
use micro_core::codec::Format;
use micro_core::context::Propagation;
use micro_core::{Context, Kind};
use micro_event::{Events, headers};

use crate::support::{Order, events, memory, topic};

/// Publishes by `publish` and returns the message as it arrives.
async fn arrives(events: &Events, publish: impl AsyncFnOnce(&str)) -> Message {
    let topic = topic();
    let mut subscription =
        events.broker().subscribe(&Topic::new(&topic).unwrap(), SubscribeOptions::new()).await.unwrap();
    publish(&topic).await;
    let delivery = subscription.next(1).await.unwrap().unwrap().remove(0);
    let message = delivery.message().clone();
    delivery.ack().await.unwrap();
    message
}

// features: D11, E1
#[tokio::test]
async fn an_event_carries_its_content_type_and_an_id_and_nothing_else() {
    let events = memory().await;
    let message = arrives(&events, async |topic| {
        let order = events.event::<Order>(topic);
        order.publish(&Order::new("a", 7)).key("a").await.unwrap();
    })
    .await;
    assert_eq!(message.headers.get_str("content-type"), Some("application/protobuf"));
    assert_eq!(uuid::Uuid::parse_str(message.headers.get_str("Micro-Id").unwrap()).unwrap().get_version_num(), 7);
    assert_eq!(message.headers.len(), 2);
    assert_eq!(message.key.as_deref(), Some(&b"a"[..]));
    assert_eq!(prost::Message::decode(message.body).ok(), Some(Order::new("a", 7)));
}

#[tokio::test]
async fn the_receipt_says_where_the_event_lies() {
    let events = memory().await;
    let receipt = events.event(topic()).publish(&Order::new("a", 1)).await.unwrap();
    assert!(receipt.position.is_some());
}

// features: B7
#[tokio::test]
async fn metadata_goes_on_by_the_allow_list_only() {
    let broker = Memory::new();
    broker.connect().await.unwrap();
    let events = Events::builder(std::sync::Arc::new(broker))
        .propagation(Propagation::new(["Tenant".to_owned(), "Authorization".to_owned()]))
        .build();
    let caller = Context::builder()
        .metadata("Tenant", "acme")
        .metadata("traceparent", "00-1-2-01")
        .metadata("Authorization", "Bearer secret")
        .metadata("X-Other", "1")
        .metadata(":authority", "h")
        .build();
    let message = arrives(&events, async |topic| {
        let order = events.event::<Order>(topic);
        caller.clone().scope(async { order.publish(&Order::default()).header("X-Own", "2").await }).await.unwrap();
    })
    .await;
    let mut names: Vec<_> = message.headers.iter().map(|(name, _)| String::from_utf8(name.to_vec()).unwrap()).collect();
    names.sort();
    assert_eq!(names, ["Content-Type", "Micro-Id", "Tenant", "X-Own", "traceparent"]);
}

#[tokio::test]
async fn a_header_with_a_line_break_is_refused_by_name() {
    let events = memory().await;
    let event = events.event::<Order>(topic());
    let error = event.publish(&Order::default()).header("X-Note", "a\r\nInjected: 1").await.unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidArgument);
    assert!(error.to_string().contains("X-Note"), "{error}");
}

#[tokio::test]
async fn the_content_type_is_chosen_by_the_format_not_by_a_header() {
    let events = memory().await;
    let event = events.event::<Order>(topic());
    let error = event.publish(&Order::default()).header("content-type", "text/plain").await.unwrap_err();
    assert!(error.to_string().contains("content_type(Format::"), "{error}");
    let error = event.publish(&Order::default()).content_type(Format::Json).await.unwrap_err();
    assert_eq!(error.kind(), Kind::UnsupportedContentType);
}

#[tokio::test]
async fn a_bad_topic_is_said_by_the_first_publish() {
    let events = memory().await;
    let error = events.event::<Bytes>("no topic").publish(&Bytes::new()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidTopic);
}

#[tokio::test]
async fn the_topic_stands_in_a_header_where_it_is_asked_for() {
    let broker = Memory::new();
    broker.connect().await.unwrap();
    let events = Events::builder(std::sync::Arc::new(broker)).topic_header(true).build();
    let mut published = String::new();
    let message = arrives(&events, async |topic| {
        published = topic.to_owned();
        events.event::<Order>(topic).publish(&Order::default()).await.unwrap();
    })
    .await;
    assert_eq!(message.headers.get_str(headers::TOPIC), Some(&*published));
}

#[tokio::test]
async fn one_bad_event_of_many_does_not_hold_up_the_others() {
    let memory = Memory::new();
    memory.init(BrokerOptions::new().address(Address::parse("memory://?max_body=100").unwrap())).unwrap();
    let events = events(memory).await;
    let bodies: Vec<Bytes> = (0..2000).map(|i| Bytes::from(vec![0; if i == 1500 { 101 } else { 100 }])).collect();
    let results = events.event::<Bytes>(topic()).publish_all(&bodies).await;
    assert_eq!(results.len(), 2000);
    let failed: Vec<_> = (0..2000).filter(|&i| results[i].is_err()).collect();
    assert_eq!(failed, [1500]);
    assert_eq!(results[1500].as_ref().unwrap_err().kind(), Kind::TooLarge);
}

#[tokio::test]
async fn a_publish_waits_for_room_up_to_its_deadline_and_says_so() {
    let memory = Memory::new();
    memory.init(BrokerOptions::new().address(Address::parse("memory://?limit=10").unwrap())).unwrap();
    let events = events(memory).await;
    let name = topic();
    let _stalled = events.broker().subscribe(&Topic::new(&name).unwrap(), SubscribeOptions::new()).await.unwrap();
    let event = events.event::<Bytes>(&name);
    let mut last = Ok(());
    for _ in 0..20 {
        last = event.publish(&Bytes::from_static(b"x")).timeout(Duration::from_millis(50)).await.map(drop);
        if last.is_err() {
            break;
        }
    }
    let error = last.unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout);
    let text = error.to_string();
    for part in [name.as_str(), "memory", "50ms"] {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
}

#[tokio::test]
async fn a_closed_broker_is_said_at_once() {
    let events = memory().await;
    events.broker().disconnect().await.unwrap();
    let error = events.event(topic()).publish(&Order::default()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Closed);
}

#[tokio::test]
async fn an_enqueued_event_needs_nobody_to_wait_for_it() {
    let events = memory().await;
    let message = arrives(&events, async |topic| {
        drop(events.event(topic).publish(&Order::new("a", 1)).enqueue().await.unwrap());
    })
    .await;
    assert!(!message.body.is_empty());
}
