use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use micro_core::{Context, Error};
use micro_event::{RetryPolicy, subscriber};
use tokio::sync::Barrier;

use crate::support::{Order, QUIET, Seen, memory, restricted, topic};

/// How many handlers of a key run at once, and what each key saw.
#[derive(Default)]
struct Watch {
    running: Mutex<HashMap<String, usize>>,
    most: AtomicUsize,
}

// features: E5
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_key_is_handled_one_at_a_time_and_in_order() {
    let events = memory().await;
    let (topic, seen) = (topic(), Seen::<Order>::new());
    let watch = Arc::new(Watch::default());
    let handler = {
        let (seen, watch) = (seen.clone(), Arc::clone(&watch));
        move |_: Context, order: Order| {
            let (seen, watch) = (seen.clone(), Arc::clone(&watch));
            async move {
                {
                    let mut running = watch.running.lock().unwrap();
                    let of_key = running.entry(order.id.clone()).or_default();
                    *of_key += 1;
                    watch.most.fetch_max(*of_key, Ordering::Relaxed);
                }
                match fastrand::u8(0..4) {
                    0 => tokio::time::sleep(Duration::from_micros(500)).await,
                    1 => tokio::task::yield_now().await,
                    2 => std::thread::sleep(Duration::from_micros(50)),
                    _ => {}
                }
                *watch.running.lock().unwrap().get_mut(&order.id).unwrap() -= 1;
                seen.push(order);
                Ok(())
            }
        }
    };
    let _live = events.subscribe(subscriber(&topic, handler).queue("q").concurrency(8)).await.unwrap();
    let orders: Vec<_> = (0..2000).map(|i| Order::new(&format!("key-{}", i % 16), i)).collect();
    let results = events.event(&topic).publish_all(&orders).key(|order: &Order| Some(order.id.clone().into())).await;
    assert!(results.iter().all(Result::is_ok));

    let mut by_key: HashMap<String, Vec<u32>> = HashMap::new();
    for order in seen.stays(2000).await {
        by_key.entry(order.id).or_default().push(order.number);
    }
    assert_eq!(by_key.len(), 16);
    assert!(by_key.values().all(|numbers| numbers.is_sorted()), "{by_key:?}");
    assert_eq!(watch.most.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn different_keys_and_no_key_run_in_parallel() {
    for keyed in [true, false] {
        let events = memory().await;
        let (topic, seen) = (topic(), Seen::<Order>::new());
        // Each handler waits for all eight.
        let (barrier, all) = (Arc::new(Barrier::new(8)), seen.clone());
        let handler = move |_: Context, order: Order| {
            let (barrier, all) = (Arc::clone(&barrier), all.clone());
            async move {
                barrier.wait().await;
                all.push(order);
                Ok(())
            }
        };
        let _live = events.subscribe(subscriber(&topic, handler).concurrency(8)).await.unwrap();
        let event = events.event(&topic);
        for number in 0..8 {
            let order = Order::new("", number);
            let publish = event.publish(&order);
            if keyed { publish.key(number.to_string()).await } else { publish.await }.unwrap();
        }
        seen.stays(8).await;
    }
}

#[tokio::test]
async fn handlers_never_run_more_than_the_concurrency_allows() {
    let events = memory().await;
    let (topic, seen) = (topic(), Seen::<usize>::new());
    let (running, all) = (Arc::new(AtomicUsize::new(0)), seen.clone());
    let handler = move |_: Context, _: Order| {
        let (running, all) = (Arc::clone(&running), all.clone());
        async move {
            let now = running.fetch_add(1, Ordering::SeqCst) + 1;
            tokio::time::sleep(Duration::from_millis(2)).await;
            running.fetch_sub(1, Ordering::SeqCst);
            all.push(now);
            Ok(())
        }
    };
    let _live = events.subscribe(subscriber(&topic, handler).concurrency(3)).await.unwrap();
    let orders: Vec<_> = (0..60).map(|number| Order::new("", number)).collect();
    events.event(&topic).publish_all(&orders).await;
    assert_eq!(seen.stays(60).await.into_iter().max(), Some(3));
}

#[tokio::test]
async fn a_blocked_key_does_not_stop_the_others() {
    let events = memory().await;
    let (topic, seen) = (topic(), Seen::<Order>::new());
    let all = seen.clone();
    let handler = move |_: Context, order: Order| {
        let all = all.clone();
        async move {
            if order.id == "slow" {
                std::future::pending::<()>().await;
            }
            all.push(order);
            Ok(())
        }
    };
    let _live = events.subscribe(subscriber(&topic, handler).concurrency(2)).await.unwrap();
    let event = events.event(&topic);
    for number in 0..100 {
        let id = if number % 2 == 0 { "slow" } else { "quick" };
        event.publish(&Order::new(id, number)).key(id).await.unwrap();
    }
    seen.stays(50).await;
}

/// A handler that fails with the first message of a key once, and the order in which messages succeed.
async fn after_a_failure(ordered: bool) -> Vec<u32> {
    let events = memory().await;
    let (topic, seen) = (topic(), Seen::<Order>::new());
    let all = seen.clone();
    let handler = move |context: Context, order: Order| {
        let all = all.clone();
        async move {
            if order.number == 0 && context.event().unwrap().attempts < 2 {
                return Err(Error::internal("shop", "not yet"));
            }
            all.push(order);
            Ok(())
        }
    };
    let retry = RetryPolicy::new().pauses(Duration::from_millis(50), Duration::from_millis(50));
    let subscriber = subscriber(&topic, handler).queue("q").retry(retry);
    let subscriber = if ordered { subscriber.ordered() } else { subscriber };
    let _live = events.subscribe(subscriber).await.unwrap();
    let event = events.event(&topic);
    for number in 0..5 {
        event.publish(&Order::new("a", number)).key("a").await.unwrap();
    }
    seen.stays(5).await.into_iter().map(|order| order.number).collect()
}

// features: E5
#[tokio::test]
async fn in_strict_order_a_key_waits_for_its_failed_message() {
    assert_eq!(after_a_failure(true).await, [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn in_loose_order_a_key_goes_on_without_its_failed_message() {
    assert_eq!(after_a_failure(false).await, [1, 2, 3, 4, 0]);
}

#[tokio::test]
async fn what_is_in_flight_is_bounded_and_goes_on() {
    let events = restricted(|capability| capability.retry = false).await;
    let (topic, seen) = (topic(), Seen::<Order>::new());
    let _live = events.subscribe(subscriber(&topic, seen.handler()).queue("q").in_flight(1)).await.unwrap();
    let orders: Vec<_> = (0..500).map(|number| Order::new("", number)).collect();
    events.event(&topic).publish_all(&orders).await;
    assert_eq!(seen.stays(500).await, orders);
}

#[tokio::test]
async fn a_handler_at_work_keeps_its_message_beyond_the_lease() {
    let events = memory().await;
    let (topic, seen) = (topic(), Seen::<Order>::new());
    let lease = Duration::from_millis(150);
    let all = seen.clone();
    let slow = move |_: Context, order: Order| {
        let all = all.clone();
        async move {
            all.push(order);
            tokio::time::sleep(Duration::from_millis(700)).await;
            Ok(())
        }
    };
    // The second message waits in its lane meanwhile, longer than a lease.
    let member = subscriber(&topic, slow).queue("q").lease(lease).in_flight(2);
    let _one = events.subscribe(member).await.unwrap();
    let event = events.event(&topic);
    for number in 0..2 {
        event.publish(&Order::new("a", number)).key("a").await.unwrap();
    }
    seen.wait(1).await;
    let other = Seen::<Order>::new();
    let _two = events.subscribe(subscriber(&topic, other.handler()).queue("q").lease(lease)).await.unwrap();
    seen.wait(2).await;
    tokio::time::sleep(QUIET).await;
    assert_eq!(other.len(), 0, "the lease ran out though the handler was at work");
}
