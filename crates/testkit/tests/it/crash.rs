//! A service that crashes.

use std::sync::Arc;
use std::time::Duration;

use micro::ServiceBuilder;
use micro::prelude::*;
use micro_testkit::{Outcome, TestKit};
use tokio::sync::Semaphore;

use crate::shop::{Order, has};

/// Ships when it is let.
fn slow(builder: ServiceBuilder, gate: Arc<Semaphore>) -> Result<Service> {
    let mut service = builder.build()?;
    let shipped = service.event::<Order>("orders.shipped");
    let ship = move |_: Context, order: Order| {
        let (shipped, gate) = (shipped.clone(), Arc::clone(&gate));
        async move {
            gate.acquire().await.expect("it is not closed").forget();
            shipped.publish(&order).await.map(drop)
        }
    };
    service.subscribe(subscriber("orders.created", ship).queue("warehouse"));
    Ok(service)
}

#[tokio::test]
async fn what_a_crashed_service_had_comes_again_and_it_publishes_no_more() {
    let kit = TestKit::new();
    let gate = Arc::new(Semaphore::new(0));
    let first = kit.start(slow(kit.builder("warehouse"), Arc::clone(&gate)).unwrap()).await.unwrap();
    kit.publish("orders.created", &Order::new("7")).key("7").await.unwrap();
    let in_hand = || kit.delivery("orders.created").stories().iter().any(|story| story.outcome == Outcome::InHand);
    let begun = async {
        while !in_hand() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), begun).await.unwrap();
    first.crash().await.unwrap();
    assert_eq!(kit.delivery("orders.created").stories()[0].outcome, Outcome::Released);
    has(first.crash().await.unwrap_err(), &["the service warehouse does not run any more"]);
    assert!(kit.registry().list().await.unwrap().is_empty());
    // The handler of the crashed one would go through here, were it alive.
    gate.add_permits(2);
    kit.published::<Order>("orders.shipped").none().await.unwrap();

    kit.start(slow(kit.builder("warehouse"), Arc::clone(&gate)).unwrap()).await.unwrap();
    let story = kit.delivery("orders.created").acknowledged().await.unwrap();
    assert_eq!((story.deliveries, story.failures.len()), (2, 0), "a crash is no failure of a handler");
    kit.idle().await.unwrap();
    kit.published::<Order>("orders.shipped").expect(1).await.unwrap();
    assert_eq!(gate.available_permits(), 1, "the handler of the crashed one took none");
}

#[tokio::test]
async fn a_stop_lets_the_handler_finish() {
    let kit = TestKit::new();
    let gate = Arc::new(Semaphore::new(0));
    let first = kit.start(slow(kit.builder("warehouse"), Arc::clone(&gate)).unwrap()).await.unwrap();
    kit.publish("orders.created", &Order::new("7")).await.unwrap();
    let finish = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        gate.add_permits(1);
    };
    let (stopped, ()) = tokio::join!(first.stop(), finish);
    stopped.unwrap();
    let story = kit.delivery("orders.created").acknowledged().await.unwrap();
    assert_eq!(story.deliveries, 1);
}

/// Publishes when it is dropped, as a handler might that is cancelled.
struct LastWords(Arc<dyn micro::broker::Broker>);

impl Drop for LastWords {
    fn drop(&mut self) {
        let topic = micro::broker::Topic::new("orders.lost").expect("it is one");
        drop(self.0.publish(&topic, vec![micro::broker::Message::new("farewell")]));
    }
}

#[tokio::test]
async fn nothing_that_a_crashed_service_still_does_reaches_the_broker() {
    let kit = TestKit::new();
    let (began, mut begun) = tokio::sync::mpsc::channel(1);
    let mut service = kit.builder("warehouse").build().unwrap();
    let broker = service.broker();
    let hang = move |_: Context, _: Order| {
        let (words, began) = (LastWords(Arc::clone(&broker)), began.clone());
        async move {
            let _words = words;
            began.send(()).await.ok();
            std::future::pending().await
        }
    };
    service.subscribe(subscriber("orders.created", hang).queue("warehouse"));
    let started = kit.start(service).await.unwrap();
    kit.publish("orders.created", &Order::new("7")).await.unwrap();
    begun.recv().await.unwrap();
    started.crash().await.unwrap();
    kit.published::<Order>("orders.lost").none().await.unwrap();
}
