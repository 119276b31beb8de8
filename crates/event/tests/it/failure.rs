use std::time::{Duration, Instant};

use micro_core::broker::{Capability, Queue, SubscribeOptions, Topic};
use micro_core::{Context, Error, Kind};
use micro_event::{Events, RetryPolicy, reject, subscriber};

use crate::support::{LIMIT, Order, QUIET, Seen, memory, restricted, topic};

/// Pauses short enough for a test.
fn quick(attempts: u32) -> RetryPolicy {
    RetryPolicy::new().attempts(attempts).pauses(Duration::from_millis(5), Duration::from_millis(20))
}

/// A handler that fails always, and sees with how many failures behind it and when it was called.
fn failing(
    seen: &Seen<(u32, Instant)>,
) -> impl Fn(Context, Order) -> std::future::Ready<micro_core::Result<()>> + use<> {
    let seen = seen.clone();
    move |context, _| {
        seen.push((context.event().unwrap().attempts, Instant::now()));
        std::future::ready(Err(Error::internal("shop", "out of stock")))
    }
}

async fn tried(events: &Events, retry: RetryPolicy, calls: usize) -> Vec<(u32, Instant)> {
    let (topic, seen) = (topic(), Seen::new());
    let _live = events.subscribe(subscriber(&topic, failing(&seen)).queue("q").retry(retry)).await.unwrap();
    events.event(&topic).publish(&Order::default()).await.unwrap();
    seen.stays(calls).await
}

// features: D10, E4
#[tokio::test]
async fn a_failing_handler_is_called_so_often_and_no_more() {
    let attempts: Vec<_> =
        tried(&memory().await, quick(3), 3).await.into_iter().map(|(attempts, _)| attempts).collect();
    assert_eq!(attempts, [0, 1, 2]);
}

#[tokio::test]
async fn where_the_broker_cannot_retry_it_is_done_here() {
    for poorer in [|c: &mut Capability| c.retry = false, |c: &mut Capability| c.attempts = false] {
        let events = restricted(poorer).await;
        let attempts: Vec<_> = tried(&events, quick(4), 4).await.into_iter().map(|(attempts, _)| attempts).collect();
        assert_eq!(attempts, [0, 1, 2, 3]);
    }
}

// features: E4
#[tokio::test]
async fn pauses_grow() {
    for events in [memory().await, restricted(|c| c.retry = false).await] {
        let retry = RetryPolicy::new().attempts(4).pauses(Duration::from_millis(50), Duration::from_secs(1));
        let calls = tried(&events, retry, 4).await;
        let gaps: Vec<_> = calls.windows(2).map(|pair| pair[1].1 - pair[0].1).collect();
        for (gap, least) in gaps.iter().zip([40, 80, 160]) {
            assert!(*gap >= Duration::from_millis(least), "{gaps:?}");
        }
    }
}

#[tokio::test]
async fn a_poison_message_does_not_block_the_others() {
    let events = memory().await;
    let (topic, seen) = (topic(), Seen::<Order>::new());
    let all = seen.clone();
    let handler = move |_: Context, order: Order| {
        let all = all.clone();
        async move {
            if order.number == 0 {
                return Err(Error::internal("shop", "poison"));
            }
            all.push(order);
            Ok(())
        }
    };
    let subscriber = subscriber(&topic, handler).queue("q").concurrency(1);
    let _live = events.subscribe(subscriber).await.unwrap();
    let orders: Vec<_> = (0..100).map(|number| Order::new("", number)).collect();
    events.event(&topic).publish_all(&orders).await;
    let begun = Instant::now();
    seen.wait(99).await;
    assert!(begun.elapsed() < RetryPolicyTotal::LEAST, "the others waited for the poison message");
}

struct RetryPolicyTotal;

impl RetryPolicyTotal {
    /// What the pauses of the usual policy make together, at least: 100 + 200 + 400 + 800 ms, less a fifth.
    const LEAST: Duration = Duration::from_millis(1200);
}

#[tokio::test]
async fn a_panic_is_a_failure_and_the_subscription_lives_on() {
    let events = memory().await;
    let (topic, seen) = (topic(), Seen::<(u32, u32)>::new());
    let all = seen.clone();
    let handler = move |context: Context, order: Order| {
        let all = all.clone();
        async move {
            let attempts = context.event().unwrap().attempts;
            if order.number == 0 && attempts == 0 {
                tokio::task::yield_now().await;
                panic!("a bug");
            }
            all.push((order.number, attempts));
            Ok(())
        }
    };
    let _live = events.subscribe(subscriber(&topic, handler).queue("q").retry(quick(3))).await.unwrap();
    for number in 0..3 {
        events.event(&topic).publish(&Order::new("", number)).await.unwrap();
    }
    let mut calls = seen.stays(3).await;
    calls.sort_unstable();
    assert_eq!(calls, [(0, 1), (1, 0), (2, 0)]);
}

#[tokio::test]
async fn a_handler_over_its_time_limit_is_cancelled_and_tried_again() {
    struct Cancelled(Seen<&'static str>);
    impl Drop for Cancelled {
        fn drop(&mut self) {
            self.0.push("dropped");
        }
    }
    let events = memory().await;
    let (topic, seen) = (topic(), Seen::new());
    let all = seen.clone();
    let handler = move |context: Context, _: Order| {
        let all = all.clone();
        async move {
            if context.event().unwrap().attempts == 0 {
                let _cancelled = Cancelled(all);
                assert!(context.remaining().unwrap() <= Duration::from_millis(100));
                std::future::pending::<()>().await;
            } else {
                all.push("again");
            }
            Ok(())
        }
    };
    let limit = Duration::from_millis(100);
    let _live =
        events.subscribe(subscriber(&topic, handler).queue("q").retry(quick(2)).time_limit(limit)).await.unwrap();
    events.event(&topic).publish(&Order::default()).await.unwrap();
    assert_eq!(seen.stays(2).await, ["dropped", "again"]);
}

#[tokio::test]
async fn an_error_that_is_no_use_to_retry_is_not_retried() {
    let events = memory().await;
    let (topic, seen) = (topic(), Seen::<()>::new());
    let all = seen.clone();
    let handler = move |_: Context, _: Order| {
        all.push(());
        async { Err(reject(Error::bad_request("shop", "no such article"))) }
    };
    let _live = events.subscribe(subscriber(&topic, handler).queue("q").retry(quick(5))).await.unwrap();
    events.event(&topic).publish(&Order::default()).await.unwrap();
    seen.stays(1).await;
}

#[tokio::test]
async fn a_message_that_kills_its_process_is_given_up_before_the_handler() {
    let events = memory().await;
    let (topic, seen) = (topic(), Seen::<Order>::new());
    let queue = Queue::new("q").unwrap();
    let options = SubscribeOptions::new().queue(queue);
    let name = Topic::new(&topic).unwrap();
    let mut raw = events.broker().subscribe(&name, options).await.unwrap();
    events.event(&topic).publish(&Order::default()).await.unwrap();
    // Eleven processes that die with it.
    for _ in 0..11 {
        let deliveries = tokio::time::timeout(LIMIT, raw.next(1)).await.unwrap().unwrap().unwrap();
        drop(deliveries);
    }
    raw.unsubscribe().await.unwrap();
    let _live = events.subscribe(subscriber(&topic, seen.handler()).queue("q")).await.unwrap();
    let broker = events.broker();
    let mut letters = Vec::new();
    let begun = Instant::now();
    while letters.is_empty() && begun.elapsed() < LIMIT {
        letters = micro_event::dead_letter::Sweep::new()
            .quiet(QUIET)
            .run(broker, &topic, |_| micro_event::dead_letter::Fate::Keep)
            .await
            .unwrap();
    }
    assert_eq!((letters[0].reason.as_str(), letters[0].attempts), ("crash", 0));
    assert_eq!(seen.len(), 0);
}

#[tokio::test]
async fn a_handlers_error_kind_does_not_matter() {
    let events = memory().await;
    let (topic, seen) = (topic(), Seen::<()>::new());
    let all = seen.clone();
    let handler = move |_: Context, _: Order| {
        all.push(());
        async { Err(Error::new(Kind::InvalidArgument, "looks permanent, is not said to be")) }
    };
    let _live = events.subscribe(subscriber(&topic, handler).queue("q").retry(quick(3))).await.unwrap();
    events.event(&topic).publish(&Order::default()).await.unwrap();
    seen.stays(3).await;
}
