//! Workers take many messages at once as long as handlers return at once; nobody may notice.

use std::time::Duration;

use micro_core::{Context, Error};
use micro_event::{Events, RetryPolicy, subscriber};
use tokio::sync::Notify;

use crate::support::{LIMIT, Order, Seen, memory, topic};

/// Enough light messages that runs are long, and then some.
const MANY: u32 = 2_000;

async fn publish(events: &Events, topic: &str, numbers: std::ops::Range<u32>) {
    let orders: Vec<_> = numbers.map(|number| Order::new("", number)).collect();
    for receipt in events.event(topic).publish_all(&orders).await {
        receipt.unwrap();
    }
}

#[tokio::test]
async fn one_that_waits_amid_a_run_holds_up_no_other_and_comes_last() {
    let (events, topic, seen) = (memory().await, topic(), Seen::new());
    let open = std::sync::Arc::new(Notify::new());
    let handler = {
        let (seen, open) = (seen.clone(), open.clone());
        move |_: Context, order: Order| {
            let (seen, open) = (seen.clone(), open.clone());
            async move {
                if order.number % 500 == 499 {
                    open.notified().await;
                }
                seen.push(order.number);
                Ok(())
            }
        }
    };
    let live = events.subscribe(subscriber(&topic, handler).queue("q")).await.unwrap();
    publish(&events, &topic, 0..MANY).await;
    let waiting = MANY / 500;
    let mut early = seen.wait((MANY - waiting) as usize).await;
    early.sort_unstable();
    assert!(early.iter().copied().eq((0..MANY).filter(|number| number % 500 != 499)));
    (0..waiting).for_each(|_| open.notify_one());
    assert_eq!(seen.wait(MANY as usize).await.len(), MANY as usize);
    live.stop(LIMIT).await.unwrap();
}

#[tokio::test]
async fn one_that_fails_amid_a_run_comes_again_with_all_that_it_had() {
    let (events, topic, seen) = (memory().await, topic(), Seen::new());
    let handler = {
        let seen = seen.clone();
        move |context: Context, order: Order| {
            let event = context.event().unwrap();
            let fails = order.number % 100 == 42 && event.attempts == 0;
            let id = String::from_utf8(event.id.to_vec()).unwrap();
            let same = context.metadata().get_str("Micro-Id") == Some(&id);
            seen.push((order.number, event.attempts, id, same));
            std::future::ready(if fails { Err(Error::internal("shop", "not yet")) } else { Ok(()) })
        }
    };
    let retry = RetryPolicy::new().attempts(2).pauses(Duration::from_millis(5), Duration::from_millis(5));
    let live = events.subscribe(subscriber(&topic, handler).queue("q").retry(retry)).await.unwrap();
    publish(&events, &topic, 0..MANY).await;
    let calls = seen.stays((MANY + MANY / 100) as usize).await;
    assert!(calls.iter().all(|(.., same)| *same), "a context has another message's headers");
    for number in (42..MANY).step_by(100) {
        let mine: Vec<_> = calls.iter().filter(|call| call.0 == number).collect();
        assert_eq!(mine.iter().map(|call| call.1).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(mine[0].2, mine[1].2, "the id is lost at a retry");
    }
    live.stop(LIMIT).await.unwrap();
}

#[tokio::test]
async fn a_context_that_a_handler_keeps_stays_as_it_was() {
    let (events, topic, seen) = (memory().await, topic(), Seen::new());
    let handler = {
        let seen = seen.clone();
        move |context: Context, order: Order| {
            let id = context.event().unwrap().id.clone();
            seen.push((context, id, order.number));
            std::future::ready(Ok(()))
        }
    };
    let live = events.subscribe(subscriber(&topic, handler).queue("q")).await.unwrap();
    publish(&events, &topic, 0..MANY).await;
    for (context, id, number) in seen.wait(MANY as usize).await {
        assert_eq!(context.event().unwrap().id, id, "{number}");
    }
    live.stop(LIMIT).await.unwrap();
}

/// What a handler's future holds: its dropping panics unless the handler came to its end.
struct Mine(bool);

impl Drop for Mine {
    fn drop(&mut self) {
        assert!(self.0, "dropped before its time");
    }
}

#[tokio::test]
async fn a_handler_that_panics_while_it_is_cancelled_takes_nobody_along() {
    let (events, topic, seen) = (memory().await, topic(), Seen::new());
    let handler = {
        let seen = seen.clone();
        move |context: Context, order: Order| {
            let (seen, attempts) = (seen.clone(), context.event().unwrap().attempts);
            async move {
                if attempts == 0 {
                    let mut mine = Mine(false);
                    tokio::time::sleep(LIMIT).await;
                    mine.0 = true;
                }
                seen.push(order.number);
                Ok(())
            }
        }
    };
    let retry = RetryPolicy::new().attempts(2).pauses(Duration::from_millis(5), Duration::from_millis(5));
    let subscriber = subscriber(&topic, handler).queue("q").concurrency(1).retry(retry);
    let live = events.subscribe(subscriber.time_limit(Duration::from_millis(50))).await.unwrap();
    publish(&events, &topic, 0..2).await;
    let mut calls = seen.stays(2).await;
    calls.sort_unstable();
    assert_eq!(calls, [0, 1]);
    live.stop(LIMIT).await.unwrap();
}

#[tokio::test]
async fn what_was_handled_stays_acknowledged_when_its_worker_is_aborted() {
    let (events, topic, seen) = (memory().await, topic(), Seen::new());
    let handler = {
        let seen = seen.clone();
        move |_: Context, order: Order| {
            let seen = seen.clone();
            async move {
                seen.push(order.number);
                if order.number == MANY - 1 {
                    tokio::time::sleep(LIMIT).await;
                }
                Ok(())
            }
        }
    };
    let live = events.subscribe(subscriber(&topic, handler.clone()).queue("q")).await.unwrap();
    publish(&events, &topic, 0..MANY).await;
    seen.wait(MANY as usize).await;
    live.stop(Duration::from_millis(50)).await.unwrap();
    let again = Seen::new();
    let reader = {
        let again = again.clone();
        move |_: Context, order: Order| {
            again.push(order.number);
            std::future::ready(Ok(()))
        }
    };
    let _live = events.subscribe(subscriber(&topic, reader).queue("q")).await.unwrap();
    assert_eq!(again.stays(1).await, [MANY - 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_amid_a_run_leaves_what_had_not_begun_to_the_queue() {
    let (events, topic, seen) = (memory().await, topic(), Seen::new());
    let handler = {
        let seen = seen.clone();
        move |_: Context, order: Order| {
            seen.push(order.number);
            async move {
                if order.number.is_multiple_of(97) {
                    tokio::task::yield_now().await;
                }
                Ok(())
            }
        }
    };
    publish(&events, &topic, 0..MANY * 10).await;
    let live = events.subscribe(subscriber(&topic, handler).queue("q")).await.unwrap();
    seen.wait(MANY as usize).await;
    live.stop(LIMIT).await.unwrap();
    let handled = seen.all();
    let again = Seen::new();
    let reader = {
        let again = again.clone();
        move |_: Context, order: Order| {
            again.push(order.number);
            std::future::ready(Ok(()))
        }
    };
    let _live = events.subscribe(subscriber(&topic, reader).queue("q")).await.unwrap();
    let mut all = again.stays((MANY * 10) as usize - handled.len()).await;
    all.extend(handled);
    all.sort_unstable();
    assert!(all.iter().copied().eq(0..MANY * 10), "some are lost, or were handled twice");
}
