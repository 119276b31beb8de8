//! What became of deliveries, and what is said if it is not what was expected.

use std::time::Duration;

use micro::Kind;
use micro::broker::{Queue, Reason, SubscribeOptions, Topic};
use micro::prelude::*;
use micro_testkit::{Outcome, TestKit};

use crate::shop::{Order, PAUSE, Tape, has, warehouse};

const SOON: Duration = Duration::from_millis(50);

async fn with(tape: Tape) -> TestKit {
    let kit = TestKit::new();
    kit.start(warehouse(kit.builder("warehouse"), tape).unwrap()).await.unwrap();
    kit
}

#[tokio::test]
async fn what_was_handled_is_acknowledged() {
    let kit = with(Tape::default()).await;
    kit.publish("orders.created", &Order::new("7")).key("7").await.unwrap();
    let story = kit.delivery("orders.created").queue("warehouse").key("7").acknowledged().await.unwrap();
    assert_eq!((story.deliveries, story.failures.len(), &*story.service), (1, 0, "warehouse"));
    let error = kit.delivery("orders.created").dead_lettered(Reason::Failed).await.unwrap_err();
    assert_eq!(error.kind(), Kind::FailedPrecondition);
    has(
        error,
        &[
            "expected the delivery of orders.created to be dead-lettered as failed, but it is not:",
            "delivered once, acknowledged",
        ],
    );
}

#[tokio::test]
async fn what_failed_is_retried_with_the_text_of_its_error() {
    let kit = with(Tape::missing(1)).await;
    kit.publish("orders.created", &Order::new("7")).await.unwrap();
    let story = kit.delivery("orders.created").retried(1, "no tape").await.unwrap();
    assert!(matches!(story.outcome, Outcome::Retrying(after) if after <= PAUSE), "{story}");
    let error = kit.delivery("orders.created").retried(1, "no string").await.unwrap_err();
    has(error, &["to be retried after failing once with \"no string\", but it is not", "failed once (no tape)"]);
    let error = kit.delivery("orders.created").within(SOON).retried(2, "no tape").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout);
    has(error, &["retried after failing twice with \"no tape\" within 50ms, but it is not yet", "to come again after"]);
    let error = kit.delivery("orders.created").within(SOON).acknowledged().await.unwrap_err();
    has(error, &["to be acknowledged within 50ms, but it is not yet; deliveries were:"]);
    kit.advance(PAUSE).await.unwrap();
    let story = kit.delivery("orders.created").acknowledged().await.unwrap();
    assert_eq!((story.deliveries, &*story.failures), (2, &["no tape".to_owned()][..]));
    has(kit.delivery("orders.created").retried(1, "no tape").await.unwrap_err(), &["delivered twice", "acknowledged"]);
}

#[tokio::test]
async fn what_keeps_failing_is_a_dead_letter_with_every_error() {
    let kit = with(Tape::missing(9)).await;
    kit.publish("orders.created", &Order::new("7")).await.unwrap();
    kit.advance(PAUSE * 10).await.unwrap();
    let story = kit.delivery("orders.created").dead_lettered(Reason::Failed).await.unwrap();
    assert_eq!((story.deliveries, story.failures.len()), (3, 3), "{story}");
    let letters = kit.published::<Order>("orders.created.dead").expect_messages(1).await.unwrap();
    assert_eq!(letters[0].headers.get_str("Micro-Dead-Error"), Some("no tape"));
    let error = kit.delivery("orders.created").dead_lettered(Reason::Rejected).await.unwrap_err();
    has(error, &["to be dead-lettered as rejected, but it is not", "dead-lettered as failed"]);
    has(
        kit.delivery("orders.created").acknowledged().await.unwrap_err(),
        &["failed 3 times (no tape; no tape; no tape)"],
    );
}

#[tokio::test]
async fn what_is_rejected_or_no_order_is_a_dead_letter_at_once() {
    let kit = with(Tape::default()).await;
    kit.publish("orders.created", &Order::new("")).key("rejected").await.unwrap();
    kit.publish("orders.created", &bytes::Bytes::from_static(b"{")).key("decode").await.unwrap();
    let story = kit.delivery("orders.created").key("rejected").dead_lettered(Reason::Rejected).await.unwrap();
    has(&story.failures[0], &["an order without an id"]);
    kit.delivery("orders.created").key("decode").dead_lettered(Reason::Decode).await.unwrap();
    kit.published::<Order>("orders.created.dead").expect_messages(2).await.unwrap();
}

#[tokio::test]
async fn what_is_given_up_without_dead_letters_is_not_called_one() {
    let kit = TestKit::new();
    let mut service = kit.builder("audit").build().unwrap();
    let fail = |_: Context, _: Order| async { Err(Error::internal("audit", "full")) };
    service.subscribe(subscriber("orders.created", fail).retry(micro::event::RetryPolicy::never()));
    kit.start(service).await.unwrap();
    kit.publish("orders.created", &Order::new("7")).await.unwrap();
    let error = kit.delivery("orders.created").dead_lettered(Reason::Failed).await.unwrap_err();
    has(error, &["orders.created to audit: delivered once, failed once (full), given up as failed and not kept"]);
}

#[tokio::test]
async fn several_that_fit_are_told_and_narrowed() {
    let kit = with(Tape::default()).await;
    for id in ["1", "2"] {
        kit.publish("orders.created", &Order::new(id)).key(id).header("Micro-Id", format!("id-{id}")).await.unwrap();
    }
    kit.idle().await.unwrap();
    let error = kit.delivery("orders.created").acknowledged().await.unwrap_err();
    has(error, &["but 2 deliveries fit; narrow it by queue, key or id:", "(key 1)", "(key 2)"]);
    assert_eq!(kit.delivery("orders.created").stories().len(), 2);
    let story = kit.delivery("orders.created").id("id-2").acknowledged().await.unwrap();
    assert_eq!(story.key.unwrap(), "2");
    let error = kit.delivery("orders.created").key("3").within(SOON).acknowledged().await.unwrap_err();
    has(error, &["expected the delivery of orders.created (key 3) to be acknowledged", "(key 1)", "(key 2)"]);
}

#[tokio::test]
async fn every_subscriber_has_a_story_of_its_own() {
    let kit = with(Tape::default()).await;
    let mut audit = kit.builder("audit").build().unwrap();
    for _ in 0..2 {
        audit.subscribe(subscriber("orders.created", |_: Context, _: Order| async { Ok(()) }));
    }
    kit.start(audit).await.unwrap();
    kit.publish("orders.created", &Order::new("7")).await.unwrap();
    kit.idle().await.unwrap();
    let stories = kit.delivery("orders.created").stories();
    assert_eq!(stories.len(), 3);
    assert!(stories.iter().all(|story| story.outcome == Outcome::Acknowledged), "{stories:?}");
}

#[tokio::test]
async fn nothing_delivered_is_said_so() {
    let kit = TestKit::new();
    let error = kit.delivery("orders.created").within(SOON).acknowledged().await.unwrap_err();
    has(error, &["but it is not yet; nothing was delivered"]);
}

#[tokio::test]
async fn an_answer_that_comes_when_its_lease_is_over_changes_no_story() {
    let kit = TestKit::new();
    let topic = Topic::new("orders.created").unwrap();
    let lease = Duration::from_secs(10);
    let options = || SubscribeOptions::new().queue(Queue::new("q").unwrap()).lease(lease);
    let (mut slow, mut quick) = (
        kit.broker().subscribe(&topic, options()).await.unwrap(),
        kit.broker().subscribe(&topic, options()).await.unwrap(),
    );
    kit.publish("orders.created", &Order::new("7")).await.unwrap();
    let late = slow.next(1).await.unwrap().unwrap().remove(0);
    kit.advance(lease * 2).await.unwrap();
    let again = quick.next(1).await.unwrap().unwrap().remove(0);
    assert_eq!(late.ack().await.unwrap_err().kind(), Kind::Conflict);
    assert_eq!(kit.delivery("orders.created").stories()[0].outcome, Outcome::InHand);
    again.ack().await.unwrap();
    assert_eq!(kit.delivery("orders.created").acknowledged().await.unwrap().deliveries, 2);
}
