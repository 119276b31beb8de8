use std::time::Duration;

use micro_core::Kind;
use micro_core::address::Address;
use micro_core::broker::{Broker, BrokerOptions, Memory, Message, Start, SubscribeOptions};

use super::support::*;

async fn limited(limit: usize) -> Memory {
    let broker = Memory::new();
    let address = Address::parse(&format!("memory://?limit={limit}")).unwrap();
    broker.init(BrokerOptions::new().address(address)).unwrap();
    broker.connect().await.unwrap();
    broker
}

#[tokio::test]
async fn no_more_than_the_limit_is_ever_unsettled() {
    let broker = connected().await;
    let topic = topic("in.flight");
    let mut subscription = broker.subscribe(&topic, of("q").in_flight(5)).await.unwrap();
    publish(&broker, &topic, texts(0..20)).await;
    let mut held = hold(&mut subscription, 5).await;
    silent(&mut subscription).await;
    held.pop().unwrap().ack().await.unwrap();
    assert_eq!(next(&mut subscription, 10).await.len(), 1);
}

#[tokio::test]
async fn a_member_at_its_limit_goes_on_as_soon_as_one_is_settled() {
    let broker = connected().await;
    let topic = topic("at.limit");
    let mut subscription = broker.subscribe(&topic, of("q").in_flight(1)).await.unwrap();
    publish(&broker, &topic, ["1", "2"]).await;
    let held = one(&mut subscription).await;
    let waiting = tokio::spawn(async move { drain(&mut subscription, 1).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    held.ack().await.unwrap();
    assert_eq!(tokio::time::timeout(LIMIT, waiting).await.unwrap().unwrap(), ["2"]);
}

// features: D9
#[tokio::test]
async fn a_slow_subscriber_slows_no_other_until_it_is_far_behind_and_loses_nothing() {
    let broker = limited(100).await;
    let topic = topic("far.behind");
    let mut slow = broker.subscribe(&topic, of("slow")).await.unwrap();
    let mut quick = broker.subscribe(&topic, of("quick")).await.unwrap();
    publish(&broker, &topic, texts(0..100)).await;
    assert_eq!(drain(&mut quick, 100).await, texts(0..100));

    let messages = (100..200).map(|i| Message::new(i.to_string())).collect();
    let receipts = tokio::spawn(broker.publish(&topic, messages).all());
    tokio::time::sleep(QUIET).await;
    assert!(!receipts.is_finished(), "publishes wait for the slow one");
    assert_eq!(drain(&mut slow, 200).await, texts(0..200));
    tokio::time::timeout(LIMIT, receipts).await.unwrap().unwrap().unwrap();
    assert_eq!(drain(&mut quick, 100).await, texts(100..200), "in order, behind those that waited");
}

#[tokio::test]
async fn ready_waits_while_too_much_waits_and_then_publishes_are_refused() {
    let broker = limited(10).await;
    let topic = topic("not.ready");
    let mut slow = broker.subscribe(&topic, of("slow")).await.unwrap();
    let batch = |n: usize| (0..n).map(|i| Message::new(i.to_string())).collect::<Vec<_>>();
    let first = broker.publish(&topic, batch(10 + 4_096));
    assert!(tokio::time::timeout(QUIET, broker.ready()).await.is_err(), "ready must wait");
    let over = broker.publish(&topic, batch(65_536 + 1));
    assert_eq!(drain(&mut slow, 10 + 4_096).await.len(), 10 + 4_096);
    assert_eq!(first.all().await.unwrap().len(), 10 + 4_096);
    drain(&mut slow, 65_536 - 4_096).await;
    tokio::time::timeout(LIMIT, broker.ready()).await.expect("there is room again").unwrap();
    let refused: Vec<_> = over.await.into_iter().filter_map(Result::err).collect();
    assert_eq!(refused.len(), 4_097);
    assert!(refused[0].kind() == Kind::ResourceExhausted && refused[0].to_string().contains("ready"), "{}", refused[0]);
}

#[tokio::test]
async fn without_a_live_subscriber_the_oldest_go() {
    let broker = limited(10).await;
    let topic = topic("oldest.go");
    drop(broker.subscribe(&topic, of("absent")).await.unwrap());
    publish(&broker, &topic, texts(0..25)).await;
    let mut all = broker.subscribe(&topic, SubscribeOptions::new().start(Start::Earliest)).await.unwrap();
    assert_eq!(drain(&mut all, 10).await, texts(15..25));
    let mut absent = broker.subscribe(&topic, of("absent")).await.unwrap();
    assert_eq!(drain(&mut absent, 10).await, texts(15..25));
}
