//! A broker that refuses.

use micro::Kind;
use micro::broker::Reason;
use micro_testkit::{Outcome, TestKit};

use crate::shop::{Order, PAUSE, Tape, has, orders, warehouse};

#[tokio::test]
async fn so_many_publishes_fail_as_asked_and_the_next_goes_through() {
    let kit = TestKit::new();
    kit.start(orders(kit.builder("orders")).unwrap()).await.unwrap();
    kit.fail_next("orders.created", 2).unwrap();
    for _ in 0..2 {
        let error = kit.call::<Order, Order>("orders", "Orders.Place", &Order::new("7")).retries(0).await.unwrap_err();
        has(&error, &["the test has the broker refuse this publish to orders.created (fail_next)"]);
    }
    kit.call::<Order, Order>("orders", "Orders.Place", &Order::new("8")).await.unwrap();
    assert_eq!(kit.published::<Order>("orders.created").expect(1).await.unwrap(), [Order::new("8")]);
}

#[tokio::test]
async fn other_topics_are_not_touched_and_zero_ends_it() {
    let kit = TestKit::new();
    kit.fail_next("orders.created", 1).unwrap();
    kit.publish("orders.shipped", &Order::new("7")).await.unwrap();
    kit.fail_next("orders.created", 0).unwrap();
    kit.publish("orders.created", &Order::new("7")).await.unwrap();
    assert_eq!(kit.fail_next("no topic", 1).unwrap_err().kind(), Kind::InvalidTopic);
}

#[tokio::test]
async fn a_handler_whose_publish_is_refused_is_retried() {
    let kit = TestKit::new();
    let mut service = kit.builder("echo").build().unwrap();
    let heard = service.event::<Order>("orders.heard");
    let echo = move |_: micro::Context, order: Order| {
        let heard = heard.clone();
        async move { heard.publish(&order).await.map(drop) }
    };
    service.subscribe(micro::subscriber("orders.created", echo).queue("echo"));
    kit.start(service).await.unwrap();
    kit.fail_next("orders.heard", 1).unwrap();
    kit.publish("orders.created", &Order::new("7")).await.unwrap();
    kit.delivery("orders.created").retried(1, "fail_next").await.unwrap();
    kit.advance(PAUSE).await.unwrap();
    kit.published::<Order>("orders.heard").expect(1).await.unwrap();
}

#[tokio::test]
async fn a_dead_letter_that_cannot_be_published_leaves_its_message_unsettled() {
    let kit = TestKit::new();
    kit.start(warehouse(kit.builder("warehouse"), Tape::default()).unwrap()).await.unwrap();
    kit.fail_next("orders.created.dead", 1).unwrap();
    kit.publish("orders.created", &Order::new("")).await.unwrap();
    kit.idle().await.unwrap();
    assert_eq!(kit.delivery("orders.created").stories()[0].outcome, Outcome::InHand);
    kit.advance(PAUSE).await.unwrap();
    let story = kit.delivery("orders.created").dead_lettered(Reason::Rejected).await.unwrap();
    assert_eq!(story.failures.len(), 1, "one failure, whatever its letter went through: {story}");
    kit.published::<Order>("orders.created.dead").expect(1).await.unwrap();
}
