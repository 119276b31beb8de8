//! Transactions on the kit's broker.

use micro::Kind;
use micro::broker::{Message, Queue, SubscribeOptions, Subscription, Topic};
use micro_testkit::{Outcome, TestKit};

use crate::shop::{Order, has};

async fn one(kit: &TestKit) -> (Box<dyn Subscription>, micro::broker::Delivery) {
    let topic = Topic::new("orders.created").unwrap();
    let options = SubscribeOptions::new().queue(Queue::new("warehouse").unwrap());
    let mut subscription = kit.broker().subscribe(&topic, options).await.unwrap();
    kit.publish("orders.created", &Order::new("7")).await.unwrap();
    let delivery = subscription.next(1).await.unwrap().unwrap().remove(0);
    (subscription, delivery)
}

#[tokio::test]
async fn a_commit_publishes_and_acknowledges() {
    let kit = TestKit::new();
    let (_subscription, delivery) = one(&kit).await;
    let mut transaction = kit.broker().transaction().await.unwrap();
    drop(transaction.publish(&Topic::new("orders.shipped").unwrap(), vec![Message::new("goods")]));
    transaction.settle(vec![delivery]).unwrap();
    assert_eq!(kit.delivery("orders.created").stories()[0].outcome, Outcome::InHand);
    transaction.commit().await.unwrap();
    kit.published::<Order>("orders.shipped").expect_messages(1).await.unwrap();
    kit.delivery("orders.created").acknowledged().await.unwrap();
}

#[tokio::test]
async fn an_abort_does_neither() {
    let kit = TestKit::new();
    let (_subscription, delivery) = one(&kit).await;
    let mut transaction = kit.broker().transaction().await.unwrap();
    drop(transaction.publish(&Topic::new("orders.shipped").unwrap(), vec![Message::new("goods")]));
    transaction.settle(vec![delivery]).unwrap();
    transaction.abort().await.unwrap();
    assert_eq!(kit.delivery("orders.created").stories()[0].outcome, Outcome::Released);
    kit.published::<Order>("orders.shipped").none().await.unwrap();
}

#[tokio::test]
async fn a_refused_publish_fails_the_commit() {
    let kit = TestKit::new();
    let (mut subscription, delivery) = one(&kit).await;
    kit.fail_next("orders.shipped", 1).unwrap();
    let mut transaction = kit.broker().transaction().await.unwrap();
    let receipt = transaction.publish(&Topic::new("orders.shipped").unwrap(), vec![Message::new("goods")]);
    assert_eq!(receipt.first().await.unwrap_err().kind(), Kind::Unavailable);
    transaction.settle(vec![delivery]).unwrap();
    has(transaction.commit().await.unwrap_err(), &["nothing was done: 1 messages were refused"]);
    kit.published::<Order>("orders.shipped").none().await.unwrap();
    let again = subscription.next(1).await.unwrap().unwrap().remove(0);
    assert_eq!(again.deliveries(), Some(2));
}
