use std::time::Duration;

use micro_core::Kind;
use micro_core::address::Address;
use micro_core::broker::{Broker, BrokerOptions, Delivery, Memory, Message, Settle, Settlement, SubscribeOptions};
use tokio::time::Instant;

use super::support::*;

fn messages(bodies: impl IntoIterator<Item = &'static str>) -> Vec<Message> {
    bodies.into_iter().map(Message::new).collect()
}

#[tokio::test]
async fn a_commit_publishes_and_settles_over_all_topics() {
    let broker = connected().await;
    let (source, one_topic, other_topic) = (topic("tx.source"), topic("tx.one"), topic("tx.other"));
    let mut input = broker.subscribe(&source, of("q")).await.unwrap();
    let mut one_reader = broker.subscribe(&one_topic, SubscribeOptions::new()).await.unwrap();
    let mut other_reader = broker.subscribe(&other_topic, SubscribeOptions::new()).await.unwrap();
    publish(&broker, &source, ["1", "2"]).await;
    let mut transaction = broker.transaction().await.unwrap();
    transaction.settle(hold(&mut input, 2).await).unwrap();
    let receipts = transaction.publish(&one_topic, messages(["a", "b"])).all().await.unwrap();
    assert!(receipts.len() == 2 && receipts[0].position.is_none(), "it lies nowhere before the commit");
    transaction.publish(&other_topic, messages(["c"])).all().await.unwrap();
    // To where it came from, too: one topic with both.
    transaction.publish(&source, messages(["3"])).all().await.unwrap();
    silent(&mut one_reader).await;
    silent(&mut input).await;
    transaction.commit().await.unwrap();
    assert_eq!(drain(&mut one_reader, 2).await, ["a", "b"]);
    assert_eq!(drain(&mut other_reader, 1).await, ["c"]);
    assert_eq!(drain(&mut input, 1).await, ["3"]);
    silent(&mut input).await;
}

#[tokio::test]
async fn an_end_without_a_commit_gives_back_and_publishes_nothing() {
    let broker = connected().await;
    let (source, target) = (topic("tx.aborted"), topic("tx.nothing"));
    let mut input = broker.subscribe(&source, of("q")).await.unwrap();
    let mut reader = broker.subscribe(&target, SubscribeOptions::new()).await.unwrap();
    publish(&broker, &source, ["1"]).await;
    for dropped in [false, true] {
        let mut transaction = broker.transaction().await.unwrap();
        transaction.settle(hold(&mut input, 1).await).unwrap();
        transaction.publish(&target, messages(["a"])).all().await.unwrap();
        if dropped {
            drop(transaction)
        } else {
            transaction.abort().await.unwrap()
        }
        let again = one(&mut input).await;
        assert_eq!((text(&again).as_str(), again.attempts()), ("1", 0), "given back is no failure");
    }
    silent(&mut reader).await;
}

#[tokio::test]
async fn a_delivery_that_went_away_fails_the_whole_commit() {
    let broker = connected().await;
    let (source, target) = (topic("tx.lease"), topic("tx.unseen"));
    let lease = Duration::from_millis(200);
    let mut slow = broker.subscribe(&source, of("q").lease(lease)).await.unwrap();
    let mut reader = broker.subscribe(&target, SubscribeOptions::new()).await.unwrap();
    publish(&broker, &source, ["1"]).await;
    let lost = hold(&mut slow, 1).await;
    let mut other = broker.subscribe(&source, of("q")).await.unwrap();
    let mut transaction = broker.transaction().await.unwrap();
    transaction.settle(lost).unwrap();
    let moved = one(&mut other).await;
    publish(&broker, &source, ["2"]).await;
    transaction.settle(hold(&mut slow, 1).await).unwrap();
    transaction.publish(&target, messages(["a"])).all().await.unwrap();
    assert_eq!(transaction.commit().await.unwrap_err().kind(), Kind::Conflict);
    assert_eq!(drain(&mut other, 1).await, ["2"], "what it still held is given back");
    moved.ack().await.unwrap();
    silent(&mut reader).await;
}

#[tokio::test]
async fn after_a_disconnect_a_commit_fails() {
    let broker = connected().await;
    let (source, target) = (topic("tx.cut"), topic("tx.cut.target"));
    let client = broker.clone();
    let mut input = client.subscribe(&source, of("q")).await.unwrap();
    let mut reader = broker.subscribe(&target, SubscribeOptions::new()).await.unwrap();
    publish(&broker, &source, ["1"]).await;
    let mut holding = client.transaction().await.unwrap();
    holding.settle(hold(&mut input, 1).await).unwrap();
    holding.publish(&target, messages(["a"])).all().await.unwrap();
    let mut publishing = client.transaction().await.unwrap();
    publishing.publish(&target, messages(["b"])).all().await.unwrap();
    client.disconnect().await.unwrap();
    assert_eq!(holding.commit().await.unwrap_err().kind(), Kind::Conflict);
    assert_eq!(publishing.commit().await.unwrap_err().kind(), Kind::Closed);
    assert_eq!(client.transaction().await.unwrap_err().kind(), Kind::Closed);
    silent(&mut reader).await;
}

#[tokio::test]
async fn it_takes_only_what_a_queue_of_its_client_holds() {
    let broker = connected().await;
    let source = topic("tx.takes");
    let mut plain = broker.subscribe(&source, SubscribeOptions::new()).await.unwrap();
    let mut mine = broker.subscribe(&source, of("q")).await.unwrap();
    let mut foreign = broker.clone().subscribe(&source, of("other")).await.unwrap();
    publish(&broker, &source, ["1", "2"]).await;
    let mut transaction = broker.transaction().await.unwrap();
    for refused in [&mut plain, &mut foreign] {
        let mut deliveries = hold(&mut mine, 1).await;
        deliveries.extend(hold(refused, 1).await);
        assert_eq!(transaction.settle(deliveries).unwrap_err().kind(), Kind::InvalidArgument);
        assert_eq!(text(&one(refused).await), "1", "what is not taken is released");
    }
    let parts = one(&mut mine).await.into_parts();
    let twice = vec![Delivery::from_parts(parts.clone()), Delivery::from_parts(parts.clone())];
    assert_eq!(transaction.settle(twice).unwrap_err().kind(), Kind::Conflict);
    let gone = Delivery::from_parts(parts);
    assert_eq!(transaction.settle(vec![gone]).unwrap_err().kind(), Kind::Conflict);
    transaction.commit().await.unwrap();
    assert_eq!(drain(&mut mine, 2).await, ["1", "2"], "nothing was taken");
}

#[tokio::test]
async fn an_answer_given_outside_fails_the_commit() {
    let broker = connected().await;
    let source = topic("tx.outside");
    let mut input = broker.subscribe(&source, of("q")).await.unwrap();
    publish(&broker, &source, ["1"]).await;
    let delivery = one(&mut input).await;
    let (settler, token) = (delivery.settler().clone(), delivery.token());
    let mut transaction = broker.transaction().await.unwrap();
    transaction.settle(vec![delivery]).unwrap();
    settler.settle(vec![Settlement::new(token, Settle::Ack, 0)]).all().await.unwrap();
    assert_eq!(transaction.commit().await.unwrap_err().kind(), Kind::Conflict);
    silent(&mut input).await;
}

#[tokio::test]
async fn a_refused_message_fails_the_commit() {
    let broker = Memory::new();
    let address = Address::parse("memory://?max_body=4&limit=2").unwrap();
    broker.init(BrokerOptions::new().address(address)).unwrap();
    broker.connect().await.unwrap();
    let target = topic("tx.refused");
    let mut reader = broker.subscribe(&target, SubscribeOptions::new()).await.unwrap();
    let mut transaction = broker.transaction().await.unwrap();
    let receipts = transaction.publish(&target, messages(["good", "too large"])).await;
    assert!(receipts[0].is_ok());
    assert_eq!(receipts[1].as_ref().unwrap_err().kind(), Kind::TooLarge);
    assert_eq!(transaction.commit().await.unwrap_err().kind(), Kind::FailedPrecondition);
    // Refused only where it lies.
    let mut transaction = broker.transaction().await.unwrap();
    let late = (0..3).map(|_| Message::new("late").delay(Duration::from_millis(1))).collect();
    transaction.publish(&target, late).all().await.unwrap();
    transaction.publish(&topic("tx.other.refused"), messages(["good"])).all().await.unwrap();
    assert_eq!(transaction.commit().await.unwrap_err().kind(), Kind::ResourceExhausted);
    silent(&mut reader).await;
}

#[tokio::test]
async fn over_the_limit_a_commit_returns_when_there_is_room() {
    let broker = Memory::new();
    let address = Address::parse("memory://?limit=2").unwrap();
    broker.init(BrokerOptions::new().address(address)).unwrap();
    broker.connect().await.unwrap();
    let target = topic("tx.full");
    let mut reader = broker.subscribe(&target, SubscribeOptions::new()).await.unwrap();
    let mut transaction = broker.transaction().await.unwrap();
    transaction.publish(&target, messages(["1", "2", "3"])).all().await.unwrap();
    let began = Instant::now();
    let committed = tokio::spawn(transaction.commit());
    let held = hold(&mut reader, 3).await;
    let waiting = broker.publish(&target, messages(["4"]));
    assert!(!committed.is_finished(), "all of it is there, and nobody is done with it");
    for delivery in held {
        delivery.ack().await.unwrap();
    }
    committed.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(4), "it heard of the room after {:?}", began.elapsed());
    waiting.all().await.unwrap();
    assert_eq!(drain(&mut reader, 1).await, ["4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_over_the_same_topics_do_not_wait_for_each_other() {
    let broker = connected().await;
    let topics = [topic("tx.cross.a"), topic("tx.cross.b")];
    let mut readers = Vec::new();
    for topic in &topics {
        readers.push(broker.subscribe(topic, SubscribeOptions::new()).await.unwrap());
    }
    let crossing: Vec<_> = (0..4)
        .map(|number| {
            let (broker, mut topics) = (broker.clone(), topics.clone());
            topics.rotate_left(number % 2);
            tokio::spawn(async move {
                for _ in 0..100 {
                    let mut transaction = broker.transaction().await.unwrap();
                    for topic in &topics {
                        transaction.publish(topic, messages(["x"])).all().await.unwrap();
                    }
                    transaction.commit().await.unwrap();
                }
            })
        })
        .collect();
    for reader in &mut readers {
        assert_eq!(drain(reader, 400).await.len(), 400);
    }
    for crossed in crossing {
        crossed.await.unwrap();
    }
}

#[tokio::test]
async fn switched_off_it_is_unsupported() {
    let broker = Memory::new().restrict(|capability| capability.transactions = false);
    broker.connect().await.unwrap();
    assert_eq!(broker.transaction().await.unwrap_err().kind(), Kind::Unsupported);
}
