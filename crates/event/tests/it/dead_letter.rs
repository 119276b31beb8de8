use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use micro_core::broker::{Broker, Message, Queue, SubscribeOptions, Topic};
use micro_core::{Context, Error};
use micro_event::{Events, RetryPolicy, headers, raw_subscriber, subscriber};

use crate::faulty::Faulty;
use crate::support::{LIMIT, Order, QUIET, Seen, events, memory, topic, until};

fn quick(attempts: u32) -> RetryPolicy {
    RetryPolicy::new().attempts(attempts).pauses(Duration::from_millis(5), Duration::from_millis(20))
}

async fn out_of_stock(_: Context, _: Order) -> micro_core::Result<()> {
    Err(Error::internal("shop", "out of stock\r\nof article 7"))
}

async fn dead_of(events: &Events, topic: &str) -> (Seen<Message>, micro_event::Subscribed) {
    let seen = Seen::new();
    let live = events.subscribe(raw_subscriber(format!("{topic}.dead"), seen.handler())).await.unwrap();
    (seen, live)
}

// features: D10
#[tokio::test]
async fn a_dead_letter_has_the_message_and_its_story() {
    let events = memory().await;
    let topic = topic();
    let (dead, _dead) = dead_of(&events, &topic).await;
    let _live = events.subscribe(subscriber(&topic, out_of_stock).queue("warehouse").retry(quick(3))).await.unwrap();
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let order = Order::new("a", 7);
    events.event(&topic).publish(&order).key("a").header("Tenant", "acme").header("Micro-Id", "my-id").await.unwrap();

    let letter = dead.stays(1).await.remove(0);
    let header = |name| letter.headers.get_str(name).unwrap_or_else(|| panic!("{name} is missing"));
    assert_eq!(Order::decode_body(letter.body.clone()), order);
    assert_eq!(letter.key.as_deref(), Some(&b"a"[..]));
    for (name, value) in [
        (headers::CONTENT_TYPE, "application/protobuf"),
        ("Tenant", "acme"),
        (headers::ID, "my-id"),
        (headers::DEAD_TOPIC, topic.as_str()),
        (headers::DEAD_QUEUE, "warehouse"),
        (headers::DEAD_REASON, "failed"),
        (headers::DEAD_ERROR, "out of stock  of article 7"),
        (headers::DEAD_ATTEMPTS, "3"),
    ] {
        assert_eq!(header(name), value, "{name}");
    }
    let first: u64 = header(headers::DEAD_FIRST_TIME).parse().unwrap();
    let last: u64 = header(headers::DEAD_LAST_TIME).parse().unwrap();
    assert!(before <= first && first <= last, "{before} {first} {last}");
}

impl Order {
    fn decode_body(body: Bytes) -> Self {
        prost::Message::decode(body).unwrap()
    }
}

// features: D10
#[tokio::test]
async fn what_cannot_be_decoded_is_dead_at_once() {
    let events = memory().await;
    let (topic, seen) = (topic(), Seen::<Order>::new());
    let (dead, _dead) = dead_of(&events, &topic).await;
    let _live = events.subscribe(subscriber(&topic, seen.handler()).queue("q")).await.unwrap();
    let name = Topic::new(&topic).unwrap();
    let garbage = Message::new(&b"\xff\xff\xff"[..]).header("Content-Type", "application/protobuf");
    events.broker().publish(&name, vec![garbage]).all().await.unwrap();
    let letter = dead.stays(1).await.remove(0);
    assert_eq!(letter.headers.get_str(headers::DEAD_REASON), Some("decode"));
    assert_eq!(letter.headers.get_str(headers::DEAD_ATTEMPTS), Some("0"));
    assert_eq!(letter.body, &b"\xff\xff\xff"[..]);
    let error = letter.headers.get_str(headers::DEAD_ERROR).unwrap();
    assert!(error.contains("Order") && error.contains(&topic), "{error}");
}

#[tokio::test]
async fn a_message_is_kept_until_its_dead_letter_is_confirmed() {
    let faulty = Faulty::new(3);
    let events = events(faulty.clone()).await;
    let topic = topic();
    let (dead, _dead) = dead_of(&events, &topic).await;
    let calls = Seen::<()>::new();
    let all = calls.clone();
    let handler = move |_: Context, _: Order| {
        all.push(());
        async { Err(Error::internal("shop", "no")) }
    };
    let _live = events.subscribe(subscriber(&topic, handler).queue("q").retry(quick(2))).await.unwrap();
    events.event(&topic).publish(&Order::default()).await.unwrap();
    dead.stays(1).await;
    assert_eq!(faulty.tried.load(Ordering::SeqCst), 4);
    // It is the dead letter that is tried again, not the handler.
    calls.stays(2).await;
}

#[tokio::test]
async fn a_message_whose_dead_letter_fails_for_ever_goes_back_to_the_queue() {
    let faulty = Faulty::new(u32::MAX);
    let events = events(faulty.clone()).await;
    let topic = topic();
    let live = events.subscribe(subscriber(&topic, out_of_stock).queue("q").retry(RetryPolicy::never())).await.unwrap();
    events.event(&topic).publish(&Order::default()).await.unwrap();
    until("a dead letter is tried", || faulty.tried.load(Ordering::SeqCst) > 0).await;
    live.stop(LIMIT).await.unwrap();
    let options = SubscribeOptions::new().queue(Queue::new("q").unwrap());
    let mut raw = faulty.memory.subscribe(&Topic::new(&topic).unwrap(), options).await.unwrap();
    let back = tokio::time::timeout(LIMIT, raw.next(1)).await.unwrap().unwrap().unwrap();
    assert_eq!(back.len(), 1);
}

#[tokio::test]
async fn a_broadcast_has_dead_letters_only_under_a_name() {
    let events = memory().await;
    let topic = topic();
    let (dead, _dead) = dead_of(&events, &topic).await;
    let _one = events.subscribe(subscriber(&topic, out_of_stock).retry(quick(1))).await.unwrap();
    let _two = events.subscribe(subscriber(&topic, out_of_stock).retry(quick(1)).name("audit")).await.unwrap();
    let keepless = subscriber(&topic, out_of_stock).retry(quick(1)).queue("q").dead_letter(false);
    let _three = events.subscribe(keepless).await.unwrap();
    events.event(&topic).publish(&Order::default()).await.unwrap();
    let letters = dead.stays(1).await;
    assert_eq!(letters[0].headers.get_str(headers::DEAD_QUEUE), Some("audit"));
}

#[tokio::test]
async fn where_there_are_no_dead_letters_a_message_is_given_up_all_the_same() {
    let events = memory().await;
    let (topic, seen) = (topic(), Seen::<()>::new());
    let all = seen.clone();
    let handler = move |_: Context, _: Order| {
        all.push(());
        async { Err(Error::internal("shop", "no")) }
    };
    let live =
        events.subscribe(subscriber(&topic, handler).queue("q").retry(quick(2)).dead_letter(false)).await.unwrap();
    events.event(&topic).publish(&Order::default()).await.unwrap();
    seen.stays(2).await;
    live.stop(LIMIT).await.unwrap();
    let options = SubscribeOptions::new().queue(Queue::new("q").unwrap());
    let mut raw = events.broker().subscribe(&Topic::new(&topic).unwrap(), options).await.unwrap();
    assert!(tokio::time::timeout(QUIET, raw.next(1)).await.is_err(), "it came again");
}
