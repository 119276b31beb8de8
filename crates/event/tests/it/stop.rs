use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use micro_core::broker::{Delivery, Queue, SubscribeOptions, Topic};
use micro_core::{Context, Error, Kind};
use micro_event::{Events, RetryPolicy, subscriber};
use tokio::sync::Semaphore;

use crate::faulty::Faulty;
use crate::support::{LIMIT, Order, QUIET, Seen, events, memory, restricted, topic, until};

/// What the queue still has: what was not acknowledged.
async fn left(events: &Events, topic: &str, queue: &str) -> Vec<Delivery> {
    let options = SubscribeOptions::new().queue(Queue::new(queue).unwrap());
    let mut raw = events.broker().subscribe(&Topic::new(topic).unwrap(), options).await.unwrap();
    let mut all = Vec::new();
    while let Ok(Ok(Some(more))) = tokio::time::timeout(QUIET, raw.next(100)).await {
        all.extend(more);
    }
    all
}

/// A handler that waits for a permit, and says when it begins and when it is done.
fn gated(
    gate: &Arc<Semaphore>,
    begun: &Seen<u32>,
    done: &Seen<u32>,
) -> impl Fn(Context, Order) -> futures_util::future::BoxFuture<'static, micro_core::Result<()>> + Send + Sync + use<> {
    let (gate, begun, done) = (Arc::clone(gate), begun.clone(), done.clone());
    move |_, order| {
        let (gate, begun, done) = (Arc::clone(&gate), begun.clone(), done.clone());
        Box::pin(async move {
            begun.push(order.number);
            gate.acquire().await.unwrap().forget();
            done.push(order.number);
            Ok(())
        })
    }
}

async fn publish(events: &Events, topic: &str, count: u32) {
    let orders: Vec<_> = (0..count).map(|number| Order::new("", number)).collect();
    let results = events.event(topic).publish_all(&orders).await;
    assert!(results.iter().all(Result::is_ok));
}

// features: A7
#[tokio::test]
async fn a_stop_lets_handlers_finish_and_releases_what_has_not_begun() {
    let events = memory().await;
    let topic = topic();
    let (gate, begun, done) = (Arc::new(Semaphore::new(0)), Seen::new(), Seen::new());
    let subscriber = subscriber(&topic, gated(&gate, &begun, &done)).queue("q").concurrency(4);
    let live = events.subscribe(subscriber).await.unwrap();
    publish(&events, &topic, 20).await;
    begun.wait(4).await;
    let stopping = tokio::spawn(live.stop(LIMIT));
    tokio::time::sleep(QUIET).await;
    assert_eq!((begun.len(), done.len(), stopping.is_finished()), (4, 0, false));
    gate.add_permits(4);
    stopping.await.unwrap().unwrap();
    done.stays(4).await;
    let left = left(&events, &topic, "q").await;
    assert_eq!(left.len(), 16, "what was not begun comes again, what was done does not");
    assert!(left.iter().all(|delivery| delivery.attempts() == 0));
}

// features: A7
#[tokio::test]
async fn a_handler_beyond_the_drain_limit_is_released_and_no_failure() {
    let events = memory().await;
    let topic = topic();
    let (gate, begun, done) = (Arc::new(Semaphore::new(0)), Seen::new(), Seen::new());
    let subscriber = subscriber(&topic, gated(&gate, &begun, &done)).queue("q").retry(RetryPolicy::never());
    let live = events.subscribe(subscriber).await.unwrap();
    publish(&events, &topic, 3).await;
    begun.wait(3).await;
    let now = Instant::now();
    live.stop(Duration::from_millis(200)).await.unwrap();
    assert!(now.elapsed() < Duration::from_secs(5), "{:?}", now.elapsed());
    let left = left(&events, &topic, "q").await;
    assert_eq!(left.len(), 3);
    assert!(left.iter().all(|delivery| delivery.attempts() == 0));
    let dead = micro_event::dead_letter::Sweep::new().quiet(QUIET);
    let dead = dead.run(events.broker(), &topic, |_| micro_event::dead_letter::Fate::Keep).await.unwrap();
    assert!(dead.is_empty(), "{dead:?}");
}

#[tokio::test]
async fn a_handler_that_fails_while_stopping_is_no_failure() {
    let events = memory().await;
    let (topic, begun) = (topic(), Seen::<()>::new());
    let gate = Arc::new(Semaphore::new(0));
    let (all, waiting) = (begun.clone(), Arc::clone(&gate));
    let handler = move |_: Context, _: Order| {
        all.push(());
        let waiting = Arc::clone(&waiting);
        async move {
            waiting.acquire().await.unwrap().forget();
            Err(Error::new(Kind::Closed, "what it needs is stopping too"))
        }
    };
    let live = events.subscribe(subscriber(&topic, handler).queue("q").retry(RetryPolicy::never())).await.unwrap();
    publish(&events, &topic, 1).await;
    begun.wait(1).await;
    let stopping = tokio::spawn(live.stop(LIMIT));
    tokio::time::sleep(Duration::from_millis(100)).await;
    gate.add_permits(1);
    stopping.await.unwrap().unwrap();
    let left = left(&events, &topic, "q").await;
    assert_eq!(left.iter().map(Delivery::attempts).collect::<Vec<_>>(), [0]);
}

#[tokio::test]
async fn a_message_that_waits_for_its_retry_here_is_released_with_its_count() {
    let events = restricted(|capability| capability.retry = false).await;
    let (topic, begun) = (topic(), Seen::<()>::new());
    let all = begun.clone();
    let handler = move |_: Context, _: Order| {
        all.push(());
        async { Err(Error::internal("shop", "no")) }
    };
    let retry = RetryPolicy::new().pauses(Duration::from_secs(60), Duration::from_secs(60));
    let live = events.subscribe(subscriber(&topic, handler).queue("q").retry(retry)).await.unwrap();
    publish(&events, &topic, 1).await;
    begun.wait(1).await;
    let now = Instant::now();
    live.stop(LIMIT).await.unwrap();
    assert!(now.elapsed() < Duration::from_secs(5));
    let left = left(&events, &topic, "q").await;
    assert_eq!(left.iter().map(Delivery::attempts).collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn a_dropped_subscription_stops_by_itself() {
    let events = memory().await;
    let (topic, seen) = (topic(), Seen::<Order>::new());
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let live = events.subscribe(subscriber(&topic, seen.handler()).queue("q")).await.unwrap();
    publish(&events, &topic, 10).await;
    seen.wait(10).await;
    assert!(tasks() > before);
    drop(live);
    until("the tasks are gone", || tasks() == before).await;
}

#[tokio::test]
async fn a_subscription_ends_when_its_broker_is_disconnected() {
    let events = memory().await;
    let (topic, seen) = (topic(), Seen::<Order>::new());
    let mut live = events.subscribe(subscriber(&topic, seen.handler()).queue("q")).await.unwrap();
    publish(&events, &topic, 10).await;
    seen.wait(10).await;
    events.broker().disconnect().await.unwrap();
    let ended = tokio::time::timeout(LIMIT, live.ended()).await;
    assert!(ended.is_ok(), "it goes on without a broker");
}

// features: D8
#[tokio::test]
async fn a_subscription_that_ends_by_itself_is_taken_up_again() {
    let faulty = Faulty::new(0);
    faulty.ends.store(1, Ordering::SeqCst);
    let events = events(faulty).await;
    let (topic, seen) = (topic(), Seen::<Order>::new());
    let live = events.subscribe(subscriber(&topic, seen.handler()).queue("q")).await.unwrap();
    publish(&events, &topic, 5).await;
    seen.wait(5).await;
    publish(&events, &topic, 5).await;
    seen.stays(10).await;
    live.stop(LIMIT).await.unwrap();
}

// features: D5
#[tokio::test]
async fn members_that_come_and_go_lose_nothing_and_double_nothing() {
    let events = memory().await;
    let (topic, seen) = (topic(), Seen::<Order>::new());
    let publisher = {
        let (events, topic) = (events.clone(), topic.clone());
        tokio::spawn(async move {
            for number in 0..2000 {
                let key = format!("key-{}", number % 10);
                events.event(&topic).publish(&Order::new(&key, number)).key(key.clone()).await.unwrap();
            }
        })
    };
    for _ in 0..10 {
        let subscriber = subscriber(&topic, seen.handler()).queue("q");
        let live = events.subscribe(subscriber).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
        live.stop(LIMIT).await.unwrap();
    }
    publisher.await.unwrap();
    let _last = events.subscribe(subscriber(&topic, seen.handler()).queue("q")).await.unwrap();
    let mut numbers: Vec<_> = seen.stays(2000).await.into_iter().map(|order| order.number).collect();
    for key in 0..10 {
        assert!(numbers.iter().filter(|&number| number % 10 == key).is_sorted(), "key {key} is out of order");
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (0..2000).collect::<Vec<_>>());
}
