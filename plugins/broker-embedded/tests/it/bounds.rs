use std::time::Duration;

use micro_core::Kind;
use micro_core::broker::{Broker, Message, SubscribeOptions};
use tokio::time::timeout;

use crate::desk::{Desk, ack, connect, nothing, settle, sorted, take, texts};
use crate::program::LIMIT;

#[tokio::test]
async fn never_more_are_out_than_the_limit() {
    let queue = micro_core::broker::Queue::new("q").unwrap();
    for options in [SubscribeOptions::new(), SubscribeOptions::new().queue(queue)] {
        let desk = Desk::open().await;
        let mut subscription = desk.subscribe(options.in_flight(7)).await;
        desk.publish(0..40).await;
        let mut got = Vec::new();
        while got.len() < 40 {
            let want = 7.min(40 - got.len());
            let held = take(&mut subscription, want).await;
            if got.is_empty() {
                nothing(&mut subscription).await;
            }
            got.extend(sorted(&held));
            ack(held).await;
        }
        got.sort_by_key(|body| (body.len(), body.clone()));
        assert_eq!(got, texts(0..40));
    }
}

#[tokio::test]
async fn what_was_published_and_not_waited_for_is_there_after_a_disconnect() {
    let desk = Desk::open().await;
    for number in 0..10_000 {
        drop(desk.broker.publish(&desk.topic, vec![Message::new(number.to_string())]));
    }
    desk.broker.disconnect().await.unwrap();
    desk.broker.connect().await.unwrap();
    let mut queue = desk.queue("q").await;
    let mut got = Vec::new();
    while got.len() < 10_000 {
        let deliveries = take(&mut queue, 1000).await;
        got.extend(sorted(&deliveries));
        ack(deliveries).await;
    }
    got.sort_by_key(|body| (body.len(), body.clone()));
    assert_eq!(got, texts(0..10_000));
}

#[tokio::test]
async fn a_broker_dropped_without_a_word_writes_what_it_was_given() {
    let desk = Desk::open().await;
    let receipts = desk.broker.publish(&desk.topic, (0..500).map(|n| Message::new(n.to_string())).collect());
    let Desk { folder, broker, topic } = desk;
    drop(broker);
    receipts.all().await.unwrap();
    let desk = Desk { broker: connect(folder.path(), "").await, folder, topic };
    let mut queue = desk.queue("q").await;
    assert_eq!(settle(&mut queue, 500).await, texts(0..500));
}

#[tokio::test]
async fn after_a_disconnect_everything_says_closed_and_subscriptions_end() {
    let desk = Desk::open().await;
    let mut queue = desk.queue("q").await;
    desk.publish(["x"]).await;
    let held = take(&mut queue, 1).await.remove(0);
    let waiting = tokio::spawn(async move { queue.next(1).await.map(|next| next.is_none()) });
    desk.broker.disconnect().await.unwrap();
    desk.broker.disconnect().await.unwrap();
    assert!(timeout(LIMIT, waiting).await.unwrap().unwrap().unwrap(), "the subscription ends");
    let error = desk.broker.publish(&desk.topic, vec![Message::new("x")]).first().await.unwrap_err();
    assert!(error.kind() == Kind::Closed && error.to_string().contains("connect()"), "{error}");
    assert_eq!(desk.broker.ready().await.unwrap_err().kind(), Kind::Closed);
    let error = desk.broker.subscribe(&desk.topic, SubscribeOptions::new()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Closed);
    assert_eq!(held.ack().await.unwrap_err().kind(), Kind::Conflict);
}

#[tokio::test]
async fn a_next_that_is_given_up_loses_nothing() {
    let desk = Desk::open().await;
    let mut queue = desk.queue("q").await;
    let mut got = Vec::new();
    let publishing = async {
        for number in 0..200 {
            desk.publish([number]).await;
        }
    };
    let pulling = async {
        while got.len() < 200 {
            if let Ok(next) = timeout(Duration::from_micros(200), queue.next(3)).await {
                let deliveries = next.unwrap().unwrap();
                got.extend(sorted(&deliveries));
                ack(deliveries).await;
            }
        }
    };
    timeout(LIMIT, async { tokio::join!(publishing, pulling) }).await.unwrap();
    got.sort_by_key(|body| (body.len(), body.clone()));
    assert_eq!(got, texts(0..200));
}

#[tokio::test]
async fn one_bad_message_of_a_batch_fails_alone() {
    let desk = Desk::open_with("?partitions=2").await;
    let messages = vec![
        Message::new("0"),
        Message::new("bad").header("X-Note", "a\nb"),
        Message::new("1").partition(1),
        Message::new("nowhere").partition(5),
        Message::new("twice").deduplication_id("x"),
    ];
    let results = desk.broker.publish(&desk.topic, messages).await;
    let kinds: Vec<_> = results.iter().map(|result| result.as_ref().err().map(|error| error.kind())).collect();
    assert_eq!(kinds, [None, Some(Kind::InvalidArgument), None, Some(Kind::InvalidArgument), Some(Kind::Unsupported)]);
    assert!(results[3].as_ref().unwrap_err().to_string().contains("no partition 5"));
    let mut queue = desk.queue("q").await;
    assert_eq!(settle(&mut queue, 2).await, texts(0..2));
    nothing(&mut queue).await;
}

#[tokio::test]
async fn a_slow_consumer_keeps_no_more_in_memory_than_it_may() {
    let desk = Desk::open_with("?sync=never").await;
    let mut queue =
        desk.subscribe(SubscribeOptions::new().in_flight(16).start(micro_core::broker::Start::Earliest)).await;
    let before = resident();
    for _ in 0..60 {
        let messages = (0..1000).map(|_| Message::new(vec![7u8; 4000])).collect();
        desk.broker.publish(&desk.topic, messages).all().await.unwrap();
    }
    let held = take(&mut queue, 16).await;
    let grown = resident().saturating_sub(before);
    // 240 MB were published; the writer's batches and caches are what may have grown.
    assert!(grown < 80 << 20, "{} MiB", grown >> 20);
    drop(held);
}

#[tokio::test]
async fn a_backlog_of_a_million_events_does_not_grow_a_slow_consumer() {
    let desk = Desk::open_with("?sync=never").await;
    let mut queue = desk.queue("slow").await;
    let before = resident();
    for _ in 0..1000 {
        let messages = (0..1000).map(|_| Message::new(&[7u8; 100][..])).collect();
        desk.broker.publish(&desk.topic, messages).all().await.unwrap();
    }
    let held = take(&mut queue, 1024).await;
    nothing(&mut queue).await;
    let grown = resident().saturating_sub(before);
    // As below: its own 1,024 events and 8 MiB read ahead, the writer's batches, the caches of the file.
    assert!(grown < 64 << 20, "{} MiB", grown >> 20);
    ack(held).await;
    assert_eq!(take(&mut queue, 1024).await.len(), 1024, "it goes on where it was");
}

fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
