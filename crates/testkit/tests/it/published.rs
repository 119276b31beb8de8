//! What was published, and what is said if it was not.

use std::time::Duration;

use micro::Kind;
use micro_testkit::TestKit;

use crate::shop::{Order, Tape, has, warehouse};

const SOON: Duration = Duration::from_millis(50);

#[tokio::test]
async fn events_come_typed_and_in_their_order() {
    let kit = TestKit::new();
    for id in ["1", "2", "3"] {
        kit.publish("orders.created", &Order::new(id)).key(id).header("zone", "a").await.unwrap();
    }
    let orders = kit.published::<Order>("orders.created").expect(3).await.unwrap();
    assert_eq!(orders, ["1", "2", "3"].map(Order::new));
    let second = kit.published::<Order>("orders.created").key("2").by("the test").expect_messages(1).await.unwrap();
    assert_eq!(second[0].headers.get_str("zone"), Some("a"));
}

#[tokio::test]
async fn too_few_is_an_error_that_says_what_was_published_instead() {
    let kit = TestKit::new();
    kit.start(warehouse(kit.builder("warehouse"), Tape::missing(1)).unwrap()).await.unwrap();
    kit.publish("orders.created", &Order::new("7")).key("7").await.unwrap();
    kit.fail_next("orders.shiped", 1).unwrap();
    let error = kit.published::<Order>("orders.shipped").within(SOON).expect(1).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout);
    has(
        error,
        &[
            "expected 1 published on orders.shipped, found 0; published were:",
            "orders.created (key 7) by the test: {\"id\":\"7\"}",
            "orders.created (key 7) to warehouse in queue warehouse: delivered once, failed once (no tape), to come again",
            "still to be refused by fail_next: 1 on orders.shiped",
        ],
    );
}

#[tokio::test]
async fn too_many_is_an_error_at_once() {
    let kit = TestKit::new();
    for id in ["1", "2"] {
        kit.publish("orders.created", &Order::new(id)).await.unwrap();
    }
    let error = kit.published::<Order>("orders.created").expect(1).await.unwrap_err();
    assert_eq!(error.kind(), Kind::FailedPrecondition);
    has(error, &["expected 1 published on orders.created, found 2", "{\"id\":\"2\"}"]);
}

#[tokio::test]
async fn nothing_is_asserted_when_there_is_no_more_to_do() {
    let kit = TestKit::new();
    kit.start(warehouse(kit.builder("warehouse"), Tape::default()).unwrap()).await.unwrap();
    kit.publish("orders.created", &Order::new("7")).await.unwrap();
    kit.published::<Order>("orders.lost").none().await.unwrap();
    // The warehouse had not seen the order when it was asked; it is waited for.
    let error = kit.published::<Order>("orders.shipped").none().await.unwrap_err();
    has(error, &["expected 0 published on orders.shipped, found 1", "orders.shipped (key 7) by warehouse"]);
}

#[tokio::test]
async fn what_is_of_another_type_is_told() {
    #[derive(Debug, micro::prelude::Serialize, micro::prelude::Deserialize, micro::prelude::Payload)]
    struct Parcel {
        number: u32,
    }
    let kit = TestKit::new();
    kit.publish("orders.created", &Order::new("7")).await.unwrap();
    let error = kit.published::<Parcel>("orders.created").expect(1).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Decode);
    has(&error, &["a message on orders.created is no ", "Parcel"]);
}

#[tokio::test]
async fn a_wait_ends_with_the_event_not_with_the_limit() {
    let kit = TestKit::new().limit(Duration::from_secs(60));
    let event = async {
        tokio::time::sleep(SOON).await;
        kit.publish("orders.created", &Order::new("7")).await
    };
    let began = std::time::Instant::now();
    let (found, published) = tokio::join!(kit.published::<Order>("orders.created").expect(1), event);
    assert!(found.unwrap().len() == 1 && published.is_ok());
    assert!(began.elapsed() < Duration::from_secs(30));
}
