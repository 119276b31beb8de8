use std::sync::Arc;

use bytes::Bytes;
use micro_core::broker::{Message, Start, Topic};
use micro_core::{Context, Error, Kind, Result};
use micro_event::{Method, RetryPolicy, SubscriberMethods, headers, raw_subscriber, struct_subscriber, subscriber};

use crate::support::{LIMIT, Order, Seen, memory, restricted, topic};

// features: D11, D12
#[tokio::test]
async fn what_is_published_is_handled_and_settled() {
    let events = memory().await;
    let (topic, seen) = (topic(), Seen::<Order>::new());
    let subscribed = events.subscribe(subscriber(&topic, seen.handler()).queue("q")).await.unwrap();
    let orders: Vec<_> = (0..100).map(|number| Order::new("a", number)).collect();
    for order in &orders {
        events.event(&topic).publish(order).key("a").await.unwrap();
    }
    assert_eq!(seen.wait(100).await, orders);
    subscribed.stop(LIMIT).await.unwrap();

    let again = events.subscribe(subscriber(&topic, seen.handler()).queue("q")).await.unwrap();
    seen.stays(100).await;
    again.stop(LIMIT).await.unwrap();
}

// features: D3, D4
#[tokio::test]
async fn members_of_a_queue_share_and_everyone_else_gets_everything() {
    let events = memory().await;
    let topic = topic();
    let (one, two, all) = (Seen::<Order>::new(), Seen::<Order>::new(), Seen::<Order>::new());
    let mut live = Vec::new();
    for (seen, queue) in [(&one, Some("q")), (&two, Some("q")), (&all, None)] {
        let subscriber = subscriber(&topic, seen.handler()).in_flight(8);
        let subscriber = match queue {
            Some(queue) => subscriber.queue(queue),
            None => subscriber,
        };
        live.push(events.subscribe(subscriber).await.unwrap());
    }
    for number in 0..200 {
        events.event(&topic).publish(&Order::new("", number)).await.unwrap();
    }
    all.stays(200).await;
    let mut shared: Vec<_> = one.all().into_iter().chain(two.all()).map(|order| order.number).collect();
    shared.sort_unstable();
    assert_eq!(shared, (0..200).collect::<Vec<_>>());
    assert!(one.len() > 0 && two.len() > 0, "{} and {}", one.len(), two.len());
}

#[tokio::test]
async fn a_handler_knows_its_delivery_and_a_publish_in_it_inherits_the_trace() {
    let events = memory().await;
    let (first, second) = (topic(), topic());
    let seen = Seen::<(Context, Bytes)>::new();
    let handler = {
        let (events, second) = (events.clone(), second.clone());
        move |context: Context, body: Bytes| {
            let (events, second) = (events.clone(), second.clone());
            async move {
                assert_eq!(context.service(), Some("shop"));
                let event = context.event().unwrap();
                assert_eq!((event.key.as_deref(), event.attempts), (Some(&b"7"[..]), 0));
                assert_eq!(event.id, context.metadata().get(headers::ID).unwrap());
                assert!(context.remaining().is_some());
                events.event(second).publish(&body).await.map(drop)
            }
        }
    };
    let last = seen.clone();
    let keep = move |context: Context, body: Bytes| {
        last.push((context, body));
        async { Ok(()) }
    };
    let _one = events.subscribe(subscriber(&first, handler)).await.unwrap();
    let _two = events.subscribe(subscriber(&second, keep)).await.unwrap();
    let event = events.event::<Bytes>(&first);
    event.publish(&Bytes::from("body")).key("7").header("traceparent", "00-1-2-01").header("Own", "1").await.unwrap();
    let (context, body) = seen.wait(1).await.remove(0);
    assert_eq!(body, "body");
    assert_eq!(context.metadata().get_str("traceparent"), Some("00-1-2-01"));
    assert_eq!(context.metadata().get("own"), None);
}

// features: D13
#[tokio::test]
async fn a_message_without_content_type_names_the_header_and_the_topic() {
    let events = memory().await;
    let topic = topic();
    let seen = Seen::<Order>::new();
    let _live = events.subscribe(subscriber(&topic, seen.handler()).queue("q")).await.unwrap();
    let dead = Seen::<Message>::new();
    let _dead = events.subscribe(raw_subscriber(format!("{topic}.dead"), dead.handler())).await.unwrap();
    let name = Topic::new(&topic).unwrap();
    events.broker().publish(&name, vec![Message::new("raw")]).all().await.unwrap();
    let letter = dead.wait(1).await.remove(0);
    let error = letter.headers.get_str(headers::DEAD_ERROR).unwrap();
    assert!(error.starts_with(&format!("the message on topic {topic} has no Content-Type header")), "{error}");
    assert_eq!(letter.headers.get_str(headers::DEAD_REASON), Some("decode"));
    assert_eq!(seen.len(), 0);
}

#[tokio::test]
async fn a_raw_subscriber_gets_the_message_as_it_is() {
    let events = memory().await;
    let topic = topic();
    let seen = Seen::<Message>::new();
    let _live = events.subscribe(raw_subscriber(&topic, seen.handler())).await.unwrap();
    let message = Message::new("\0\u{1}").header("Foo", "1").header("foo", "2").key("k");
    events.broker().publish(&Topic::new(&topic).unwrap(), vec![message.clone()]).all().await.unwrap();
    let got = seen.wait(1).await.remove(0);
    assert_eq!((&got.headers, &got.key, &got.body), (&message.headers, &message.key, &message.body));
}

struct Desk(Seen<String>);

impl SubscriberMethods for Desk {
    fn methods(self: Arc<Self>) -> Vec<Method> {
        let (bill, pack, send) = (Arc::clone(&self), Arc::clone(&self), self);
        vec![
            Method::new::<Order, _>("Bill", move |context: Context, order: Order| {
                bill.0.push(format!("bill {} {}", order.number, context.event().unwrap().attempts));
                async { Ok(()) }
            }),
            Method::new::<Order, _>("Pack", move |context: Context, order: Order| {
                pack.0.push(format!("pack {} {}", order.number, context.event().unwrap().attempts));
                let first = context.event().unwrap().attempts == 0;
                async move { if first { Err(Error::internal("desk", "no paper")) } else { Ok(()) } }
            }),
            Method::new::<Order, _>("Send", move |context: Context, order: Order| {
                let attempts = context.event().unwrap().attempts;
                assert!(attempts > 0, "no stamps");
                send.0.push(format!("send {} {attempts}", order.number));
                async { Ok(()) }
            }),
        ]
    }
}

// features: D12
#[tokio::test]
async fn every_method_of_a_struct_gets_each_message_until_all_succeed() {
    let events = memory().await;
    let (topic, seen) = (topic(), Seen::new());
    let retry = RetryPolicy::new().pauses(std::time::Duration::from_millis(1), std::time::Duration::from_millis(1));
    let desk = struct_subscriber(&topic, Desk(seen.clone())).queue("q").retry(retry);
    let names: Vec<_> = desk.records().into_iter().map(|record| record.name).collect();
    assert_eq!(names, ["Desk.Bill", "Desk.Pack", "Desk.Send"]);
    let _live = events.subscribe(desk).await.unwrap();
    events.event(&topic).publish(&Order::new("", 7)).await.unwrap();
    let mut calls = seen.stays(5).await;
    calls.sort();
    assert_eq!(calls, ["bill 7 0", "bill 7 1", "pack 7 0", "pack 7 1", "send 7 1"]);
}

// features: D12
#[tokio::test]
async fn the_errors_of_methods_are_joined_in_go_micros_words() {
    let events = memory().await;
    let (topic, seen) = (topic(), Seen::new());
    let dead = Seen::<Message>::new();
    let _dead = events.subscribe(raw_subscriber(format!("{topic}.dead"), dead.handler())).await.unwrap();
    let desk = struct_subscriber(&topic, Desk(seen)).queue("q").retry(RetryPolicy::never());
    let _live = events.subscribe(desk).await.unwrap();
    events.event(&topic).publish(&Order::new("", 7)).await.unwrap();
    let letter = dead.wait(1).await.remove(0);
    assert_eq!(
        letter.headers.get_str(headers::DEAD_ERROR),
        Some("subscriber error: Pack: no paper; Send: the handler panicked: no stamps")
    );
}

#[tokio::test]
async fn the_registry_shows_a_function_as_go_micro_does() {
    let records = subscriber("orders.created", |_: Context, _: Order| async { Ok(()) }).records();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].name, "Func");
    assert_eq!(records[0].metadata["subscriber"], "true");
    assert_eq!(records[0].metadata["topic"], "orders.created");
    assert!(records[0].request.is_some() && records[0].response.is_none());
}

// features: E3
#[tokio::test]
async fn a_subscriber_may_begin_at_the_earliest() {
    let events = memory().await;
    let (topic, seen) = (topic(), Seen::<Order>::new());
    for number in 0..10 {
        events.event(&topic).publish(&Order::new("", number)).await.unwrap();
    }
    let subscriber = subscriber(&topic, seen.handler()).start(Start::Earliest).concurrency(1);
    let _live = events.subscribe(subscriber).await.unwrap();
    let numbers: Vec<_> = seen.stays(10).await.into_iter().map(|order| order.number).collect();
    assert_eq!(numbers, (0..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_the_broker_does_not_declare_is_refused() {
    let events = restricted(|capability| {
        capability.keys = false;
        capability.queues = false;
    })
    .await;
    async fn handler(_: Context, _: Order) -> Result<()> {
        Ok(())
    }
    let ordered = events.subscribe(subscriber(topic(), handler).ordered()).await.unwrap_err();
    assert_eq!(ordered.kind(), Kind::Unsupported);
    assert!(ordered.to_string().contains("memory does not support order within a key"), "{ordered}");
    let queue = events.subscribe(subscriber(topic(), handler).queue("q")).await.unwrap_err();
    assert!(queue.to_string().contains("memory does not support queues"), "{queue}");
    let name = events.subscribe(subscriber("a topic", handler)).await.unwrap_err();
    assert_eq!(name.kind(), Kind::InvalidTopic);
}

#[tokio::test]
async fn a_paused_subscription_gets_nothing_until_it_goes_on() {
    let events = memory().await;
    let (topic, seen) = (topic(), Seen::<Order>::new());
    let live = events.subscribe(subscriber(&topic, seen.handler()).queue("q")).await.unwrap();
    live.pause().await.unwrap();
    events.event(&topic).publish(&Order::new("", 1)).await.unwrap();
    seen.stays(0).await;
    live.resume().await.unwrap();
    seen.stays(1).await;
}

#[tokio::test]
async fn the_longest_durations_are_as_good_as_for_ever() {
    let events = memory().await;
    let (topic, seen) = (topic(), Seen::<Order>::new());
    let for_ever = std::time::Duration::MAX;
    let all = seen.clone();
    // The types of a closure's arguments follow from the event's.
    let handler = subscriber::<Order, _>(&topic, move |context, order| {
        let all = all.clone();
        async move {
            tokio::task::yield_now().await;
            assert!(context.remaining().is_some());
            all.push(order);
            Ok(())
        }
    });
    let handler = handler.time_limit(for_ever).lease(for_ever).retry(RetryPolicy::new().pauses(for_ever, for_ever));
    let live = events.subscribe(handler).await.unwrap();
    events.event(&topic).publish(&Order::default()).timeout(for_ever).await.unwrap();
    let results = events.event(&topic).publish_all(&[Order::default()]).timeout(for_ever).await;
    assert!(results[0].is_ok());
    seen.wait(2).await;
    live.stop(for_ever).await.unwrap();
}
