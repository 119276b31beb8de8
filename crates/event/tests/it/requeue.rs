use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use micro_core::broker::Topic;
use micro_core::{Context, Error, Kind};
use micro_event::dead_letter::{DeadLetter, Fate, Sweep};
use micro_event::{Events, RetryPolicy, Subscribed, raw_subscriber, subscriber};

use crate::support::{Order, QUIET, Seen, memory, restricted, topic};

fn sweep() -> Sweep {
    Sweep::new().quiet(QUIET)
}

async fn letters(events: &Events, topic: &str) -> Vec<DeadLetter> {
    sweep().run(events.broker(), topic, |_| Fate::Keep).await.unwrap()
}

/// A queue whose handler fails for as long as `broken` holds.
async fn queue(events: &Events, topic: &str, queue: &str, broken: &Arc<AtomicBool>) -> (Seen<Order>, Subscribed) {
    let seen = Seen::<Order>::new();
    let (all, broken) = (seen.clone(), Arc::clone(broken));
    let handler = move |_: Context, order: Order| {
        let broken = broken.load(Ordering::SeqCst);
        if !broken {
            all.push(order);
        }
        async move { if broken { Err(Error::internal("shop", "broken")) } else { Ok(()) } }
    };
    let subscriber = subscriber(topic, handler).queue(queue).retry(RetryPolicy::never());
    (seen, events.subscribe(subscriber).await.unwrap())
}

// features: D10
#[tokio::test]
async fn a_requeued_message_goes_to_its_queue_only_and_succeeds() {
    let events = memory().await;
    let topic = topic();
    let broken = Arc::new(AtomicBool::new(true));
    let (warehouse, _one) = queue(&events, &topic, "warehouse", &broken).await;
    let (billing, _two) = queue(&events, &topic, "billing", &Arc::default()).await;
    let dead = Seen::new();
    let _dead = events.subscribe(raw_subscriber(format!("{topic}.dead"), dead.handler())).await.unwrap();
    for number in 0..5 {
        events.event(&topic).publish(&Order::new("a", number)).key("a").await.unwrap();
    }
    billing.wait(5).await;
    dead.wait(5).await;
    assert_eq!(letters(&events, &topic).await.len(), 5);

    broken.store(false, Ordering::SeqCst);
    let requeued = micro_event::dead_letter::requeue(events.broker(), &topic, |letter| {
        let order: Order = prost::Message::decode(letter.message.body.clone()).unwrap();
        order.number < 3
    })
    .await
    .unwrap();
    assert_eq!(requeued, 3);
    let numbers: Vec<_> = warehouse.stays(3).await.into_iter().map(|order| order.number).collect();
    assert_eq!(numbers, [0, 1, 2]);
    billing.stays(5).await;
    assert_eq!(letters(&events, &topic).await.len(), 2);
}

#[tokio::test]
async fn two_letters_of_one_message_count_as_one() {
    let events = memory().await;
    let topic = topic();
    let broken = Arc::new(AtomicBool::new(true));
    let (seen, _live) = queue(&events, &topic, "q", &broken).await;
    let dead = Seen::<micro_core::broker::Message>::new();
    let name = format!("{topic}.dead");
    let watching = events.subscribe(raw_subscriber(&name, dead.handler())).await.unwrap();
    events.event(&topic).publish(&Order::new("a", 1)).await.unwrap();
    let letter = dead.wait(1).await.remove(0);
    // A crash between the dead letter and the settlement of the original leaves a second one.
    events.broker().publish(&Topic::new(&name).unwrap(), vec![letter]).all().await.unwrap();
    dead.wait(2).await;
    drop(watching);
    assert_eq!(letters(&events, &topic).await.len(), 1);

    broken.store(false, Ordering::SeqCst);
    assert_eq!(micro_event::dead_letter::requeue(events.broker(), &topic, |_| true).await.unwrap(), 1);
    seen.stays(1).await;
    assert_eq!(letters(&events, &topic).await.len(), 0);
}

#[tokio::test]
async fn a_letter_tells_why_and_is_discarded_on_demand() {
    let events = memory().await;
    let topic = topic();
    let (_, _live) = queue(&events, &topic, "q", &Arc::new(AtomicBool::new(true))).await;
    let dead = Seen::<micro_core::broker::Message>::new();
    let _dead = events.subscribe(raw_subscriber(format!("{topic}.dead"), dead.handler())).await.unwrap();
    events.event(&topic).publish(&Order::new("a", 1)).key("k").await.unwrap();
    dead.wait(1).await;
    let letter = sweep().run(events.broker(), &topic, |_| Fate::Discard).await.unwrap().remove(0);
    assert_eq!((letter.topic.as_str(), letter.queue.as_str()), (topic.as_str(), "q"));
    assert_eq!((letter.reason.as_str(), letter.error.as_str(), letter.attempts), ("failed", "broken", 1));
    assert!(letter.first.unwrap() <= letter.last.unwrap() + Duration::from_millis(1));
    assert!(!letter.id.is_empty());
    assert_eq!(letter.message.key.as_deref(), Some(&b"k"[..]));
    assert!(letter.message.headers.iter().all(|(name, _)| !name.starts_with(b"Micro-Dead-")));
    assert_eq!(letters(&events, &topic).await.len(), 0);
}

#[tokio::test]
async fn a_broker_that_keeps_nothing_for_queues_says_so() {
    let events = restricted(|capability| capability.backlog = false).await;
    let error = micro_event::dead_letter::list(events.broker(), "orders.created").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(error.to_string().contains("orders.created.dead"), "{error}");
}
