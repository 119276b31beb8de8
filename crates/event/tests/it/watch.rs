//! Who asks to hear of failures hears of each.

use std::sync::Arc;
use std::time::Duration;

use micro_core::broker::{Broker, Reason};
use micro_core::{Context, Error};
use micro_event::{AfterFailure, Events, HandlerFailure, RetryPolicy, subscriber};

use crate::faulty::Faulty;
use crate::support::{Order, Seen, topic};

/// What of a failure is looked at: who, with which count, why, and what comes next.
type Told = (Option<String>, u32, String, &'static str);

fn told(failure: &HandlerFailure<'_>) -> Told {
    let next = match failure.next {
        AfterFailure::Retry(_) => "retry",
        AfterFailure::DeadLetter(Reason::Failed) => "dead letter",
        AfterFailure::DeadLetterLater(_) => "dead letter later",
        AfterFailure::Dropped(Reason::Failed) => "dropped",
        _ => "another",
    };
    (failure.subscriber.map(str::to_owned), failure.delivery.attempts, failure.error.to_string(), next)
}

async fn watched(refused_letters: u32, seen: &Seen<Told>) -> Events {
    let broker = Faulty::new(refused_letters);
    broker.connect().await.unwrap();
    let seen = seen.clone();
    Events::builder(Arc::new(broker)).on_failure(move |failure| seen.push(told(failure))).build()
}

fn quick() -> RetryPolicy {
    RetryPolicy::new().attempts(2).pauses(Duration::from_millis(1), Duration::from_millis(2))
}

async fn fail(_: Context, _: Order) -> micro_core::Result<()> {
    Err(Error::internal("shop", "out of stock"))
}

#[tokio::test]
async fn a_retry_a_refused_letter_and_the_letter_are_told_in_their_order() {
    let (topic, seen) = (topic(), Seen::new());
    let events = watched(1, &seen).await;
    let _live = events.subscribe(subscriber(&topic, fail).queue("q").retry(quick())).await.unwrap();
    events.event(&topic).publish(&Order::default()).await.unwrap();
    let all = seen.stays(3).await;
    let who = Some("q".to_owned());
    let stock = "out of stock".to_owned();
    assert_eq!(all[0], (who.clone(), 1, stock.clone(), "retry"));
    assert_eq!(all[1], (who.clone(), 2, stock, "dead letter"));
    assert_eq!(all[2], (who, 2, "no leader".to_owned(), "dead letter later"));
}

#[tokio::test]
async fn what_is_not_kept_is_told_as_dropped() {
    let (topic, seen) = (topic(), Seen::new());
    let events = watched(0, &seen).await;
    let _live = events.subscribe(subscriber(&topic, fail).retry(RetryPolicy::never())).await.unwrap();
    events.event(&topic).publish(&Order::default()).await.unwrap();
    assert_eq!(seen.stays(1).await, [(None, 1, "out of stock".to_owned(), "dropped")]);
}

#[tokio::test]
async fn one_that_panics_stops_neither_the_others_nor_the_worker() {
    let (topic, seen) = (topic(), Seen::new());
    let broker = Faulty::new(0);
    broker.connect().await.unwrap();
    let after = seen.clone();
    let events = Events::builder(Arc::new(broker))
        .on_failure(|_| panic!("no network"))
        .on_failure(move |failure| after.push(told(failure)))
        .build();
    let _live = events.subscribe(subscriber(&topic, fail).queue("q").retry(quick())).await.unwrap();
    events.event(&topic).publish(&Order::default()).await.unwrap();
    seen.stays(2).await;
}
