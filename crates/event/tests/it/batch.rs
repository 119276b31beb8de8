use std::time::Duration;

use micro_core::broker::{Message, Topic};
use micro_core::{Context, Error, Result};
use micro_event::{BatchOutcome, Events, RetryPolicy, batch_subscriber, headers, raw_subscriber};

use crate::support::{LIMIT, Order, Seen, memory, topic};

fn quick(attempts: u32) -> RetryPolicy {
    RetryPolicy::new().attempts(attempts).pauses(Duration::from_millis(5), Duration::from_millis(20))
}

async fn publish(events: &Events, topic: &str, count: u32) {
    let orders: Vec<_> = (0..count).map(|number| Order::new(&format!("key-{}", number % 3), number)).collect();
    let results = events.event(topic).publish_all(&orders).key(|order: &Order| Some(order.id.clone().into())).await;
    assert!(results.iter().all(Result::is_ok));
}

fn numbers(orders: &[Order]) -> Vec<u32> {
    orders.iter().map(|order| order.number).collect()
}

/// A handler that keeps its batches.
fn keeping(
    seen: &Seen<Vec<u32>>,
) -> impl Fn(Context, Vec<Order>) -> std::future::Ready<Result<()>> + Send + Sync + use<> {
    let seen = seen.clone();
    move |_, orders| {
        seen.push(numbers(&orders));
        std::future::ready(Ok(()))
    }
}

#[tokio::test]
async fn a_batch_is_as_large_as_allowed_and_never_empty() {
    let events = memory().await;
    let (topic, seen) = (topic(), Seen::new());
    publish(&events, &topic, 105).await;
    let subscriber = batch_subscriber(&topic, keeping(&seen)).queue("q").batch(20, Duration::from_millis(50));
    let _live = events.subscribe(subscriber).await.unwrap();
    let batches = seen.stays(6).await;
    assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [20, 20, 20, 20, 20, 5]);
    let mut all = batches.concat();
    for key in 0..3 {
        assert!(all.iter().filter(|&number| number % 3 == key).is_sorted(), "key {key} is out of order");
    }
    all.sort_unstable();
    assert_eq!(all, (0..105).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_batch_waits_no_longer_than_allowed() {
    let events = memory().await;
    let (topic, seen) = (topic(), Seen::new());
    let subscriber = batch_subscriber(&topic, keeping(&seen)).queue("q").batch(100, Duration::from_millis(100));
    let _live = events.subscribe(subscriber).await.unwrap();
    publish(&events, &topic, 1).await;
    assert_eq!(seen.wait(1).await, [[0]]);
    publish(&events, &topic, 2).await;
    assert_eq!(seen.stays(2).await[1].len(), 2);
}

#[tokio::test]
async fn only_the_failed_ones_of_a_batch_come_again() {
    let events = memory().await;
    let (topic, seen) = (topic(), Seen::<Vec<u32>>::new());
    let all = seen.clone();
    let handler = move |_: Context, orders: Vec<Order>| {
        let first = all.len() == 0;
        all.push(numbers(&orders));
        async move {
            let answer = |order: &Order| match first && order.number.is_multiple_of(5) {
                true => Err(Error::internal("shop", "no")),
                false => Ok(()),
            };
            orders.iter().map(answer).collect::<Vec<_>>()
        }
    };
    publish(&events, &topic, 20).await;
    let subscriber = batch_subscriber(&topic, handler).queue("q").batch(20, Duration::from_millis(50)).retry(quick(3));
    let _live = events.subscribe(subscriber).await.unwrap();
    seen.wait(2).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut again = seen.all()[1..].concat();
    again.sort_unstable();
    assert_eq!(again, [0, 5, 10, 15]);
}

#[tokio::test]
async fn a_batch_that_fails_or_panics_comes_again_as_a_whole() {
    let events = memory().await;
    let (topic, seen) = (topic(), Seen::<Vec<u32>>::new());
    let all = seen.clone();
    let handler = move |_: Context, orders: Vec<Order>| {
        let call = all.len();
        all.push(numbers(&orders));
        async move {
            assert!(call != 0, "a bug");
            if call == 1 { Err(Error::internal("shop", "no")) } else { Ok(()) }
        }
    };
    for number in 0..4 {
        events.event(&topic).publish(&Order::new("", number)).await.unwrap();
    }
    let retry = RetryPolicy::new().pauses(Duration::from_millis(20), Duration::from_millis(20));
    let subscriber = batch_subscriber(&topic, handler).queue("q").batch(4, Duration::from_millis(200)).retry(retry);
    let _live = events.subscribe(subscriber).await.unwrap();
    let batches = seen.stays(3).await;
    for mut batch in batches {
        batch.sort_unstable();
        assert_eq!(batch, [0, 1, 2, 3]);
    }
}

#[tokio::test]
async fn strict_order_holds_in_batches_that_fail() {
    let events = memory().await;
    let (topic, seen) = (topic(), Seen::<Vec<u32>>::new());
    let all = seen.clone();
    let handler = move |_: Context, orders: Vec<Order>| {
        let fail = all.len() < 3;
        all.push(numbers(&orders));
        async move { if fail { Err(Error::internal("shop", "no")) } else { Ok(()) } }
    };
    publish(&events, &topic, 30).await;
    let subscriber = batch_subscriber(&topic, handler).queue("q").batch(10, Duration::from_millis(20)).ordered();
    let _live = events.subscribe(subscriber.retry(quick(9)).concurrency(2)).await.unwrap();
    let total = || seen.all().iter().skip(3).map(Vec::len).sum::<usize>();
    crate::support::until("all are handled", || total() == 30).await;
    let handled = seen.all()[3..].concat();
    for key in 0..3 {
        let of_key: Vec<_> = handled.iter().filter(|&number| number % 3 == key).collect();
        assert!(of_key.is_sorted(), "key {key} is out of order: {of_key:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_decoded_leaves_the_batch() {
    let events = memory().await;
    let (topic, seen) = (topic(), Seen::new());
    let dead = Seen::<Message>::new();
    let _dead = events.subscribe(raw_subscriber(format!("{topic}.dead"), dead.handler())).await.unwrap();
    let garbage = Message::new(&b"\xff"[..]).header("Content-Type", "application/protobuf");
    let name = Topic::new(&topic).unwrap();
    publish(&events, &topic, 2).await;
    events.broker().publish(&name, vec![garbage]).all().await.unwrap();
    publish(&events, &topic, 2).await;
    let subscriber = batch_subscriber(&topic, keeping(&seen)).queue("q").batch(5, Duration::from_secs(5));
    let _live = events.subscribe(subscriber).await.unwrap();
    let mut batch = seen.stays(1).await.remove(0);
    batch.sort_unstable();
    assert_eq!(batch, [0, 0, 1, 1]);
    assert_eq!(dead.stays(1).await[0].headers.get_str(headers::DEAD_REASON), Some("decode"));
}

// features: A7
#[tokio::test]
async fn the_last_partial_batch_is_handled_at_a_stop() {
    let events = memory().await;
    let (topic, seen) = (topic(), Seen::new());
    let subscriber = batch_subscriber(&topic, keeping(&seen)).queue("q").batch(100, Duration::from_secs(60));
    let live = events.subscribe(subscriber).await.unwrap();
    publish(&events, &topic, 7).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    live.stop(LIMIT).await.unwrap();
    assert_eq!(seen.all().concat().len(), 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn batches_in_parallel_never_share_a_key() {
    let events = memory().await;
    let (topic, seen) = (topic(), Seen::<Vec<u32>>::new());
    let busy = std::sync::Arc::new(std::sync::Mutex::new(std::collections::HashSet::new()));
    let all = seen.clone();
    let handler = move |_: Context, orders: Vec<Order>| {
        let (all, busy) = (all.clone(), std::sync::Arc::clone(&busy));
        async move {
            let keys: std::collections::HashSet<_> = orders.iter().map(|order| order.id.clone()).collect();
            for key in &keys {
                assert!(busy.lock().unwrap().insert(key.clone()), "{key} is in two batches");
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
            for key in &keys {
                busy.lock().unwrap().remove(key);
            }
            all.push(numbers(&orders));
            Ok(())
        }
    };
    let subscriber = batch_subscriber(&topic, handler).queue("q").batch(10, Duration::from_millis(5)).concurrency(4);
    let _live = events.subscribe(subscriber.retry(RetryPolicy::never())).await.unwrap();
    publish(&events, &topic, 500).await;
    crate::support::until("all are handled", || seen.all().iter().map(Vec::len).sum::<usize>() == 500).await;
}

#[tokio::test]
async fn an_answer_that_is_missing_is_a_failure() {
    let results = vec![Ok(())].into_results(3);
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, false]);
    assert!(results[1].as_ref().unwrap_err().to_string().contains("gave 1 answers to 3 events"));
}
