//! The end of work.

use std::time::Duration;

use micro::prelude::*;
use micro_testkit::TestKit;

use crate::shop::{Order, Tape, has, warehouse};

#[tokio::test]
async fn it_is_reached_when_all_that_was_published_is_handled() {
    let kit = TestKit::new();
    kit.start(warehouse(kit.builder("warehouse"), Tape::default()).unwrap()).await.unwrap();
    for id in 0..500 {
        kit.publish("orders.created", &Order::new(&id.to_string())).await.unwrap();
    }
    kit.idle().await.unwrap();
    kit.published::<Order>("orders.shipped").within(Duration::ZERO).expect(500).await.unwrap();
}

#[tokio::test]
async fn what_waits_for_the_clock_does_not_hold_it_up() {
    let kit = TestKit::new();
    kit.start(warehouse(kit.builder("warehouse"), Tape::missing(1)).unwrap()).await.unwrap();
    kit.publish("orders.created", &Order::new("7")).await.unwrap();
    kit.publish("orders.created", &Order::new("8")).delay(Duration::from_secs(60)).await.unwrap();
    kit.idle().await.unwrap();
    kit.delivery("orders.created").within(Duration::ZERO).retried(1, "no tape").await.unwrap();
}

#[tokio::test]
async fn a_handler_that_does_not_end_is_told() {
    let kit = TestKit::new().limit(Duration::from_millis(100));
    let mut service = kit.builder("stuck").build().unwrap();
    let wait = |_: Context, _: Order| std::future::pending::<Result<()>>();
    service.subscribe(subscriber("orders.created", wait).queue("stuck"));
    kit.start(service).await.unwrap();
    kit.publish("orders.created", &Order::new("7")).await.unwrap();
    let error = kit.idle().await.unwrap_err();
    has(error, &["expected an end of work within 100ms", "to stuck in queue stuck: delivered once, in hand"]);
}
