use std::sync::Arc;
use std::time::Duration;

use micro_core::Kind;
use micro_core::address::Address;
use micro_core::broker::{Broker, BrokerOptions, Memory, Message, SubscribeOptions};

use super::support::*;

#[tokio::test]
async fn before_connect_and_after_disconnect_everything_is_closed() {
    let broker = Memory::new();
    let topic = topic("use.closed");
    let error = broker.publish(&topic, vec![Message::new("x")]).first().await.unwrap_err();
    assert!(error.kind() == Kind::Closed && error.to_string().contains("call connect first"), "{error}");
    broker.connect().await.unwrap();
    let mut subscription = broker.subscribe(&topic, SubscribeOptions::new()).await.unwrap();
    publish(&broker, &topic, ["1"]).await;
    let held = one(&mut subscription).await;
    broker.disconnect().await.unwrap();
    broker.disconnect().await.unwrap();
    assert!(subscription.next(1).await.unwrap().is_none());
    assert_eq!(held.ack().await.unwrap_err().kind(), Kind::Closed);
    assert_eq!(broker.ready().await.unwrap_err().kind(), Kind::Closed);
    assert_eq!(broker.subscribe(&topic, SubscribeOptions::new()).await.unwrap_err().kind(), Kind::Closed);
    let error = broker.publish(&topic, vec![Message::new("x")]).first().await.unwrap_err();
    assert!(error.kind() == Kind::Closed && error.to_string().contains("use.closed"), "{error}");
    broker.connect().await.unwrap();
    publish(&broker, &topic, ["2"]).await;
}

#[tokio::test]
async fn a_disconnect_ends_a_waiting_next() {
    let broker = connected().await;
    let mut subscription = broker.subscribe(&topic("ends.next"), of("q")).await.unwrap();
    let waiting = tokio::spawn(async move { subscription.next(1).await });
    tokio::time::sleep(Duration::from_millis(20)).await;
    let closing: Vec<_> = (0..10)
        .map(|_| {
            let broker = Arc::new(broker.clone());
            tokio::spawn(async move { broker.disconnect().await })
        })
        .collect();
    broker.disconnect().await.unwrap();
    assert!(tokio::time::timeout(LIMIT, waiting).await.unwrap().unwrap().unwrap().is_none());
    for closed in closing {
        closed.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn ten_thousand_publishes_not_waited_for_arrive_before_a_disconnect_is_done() {
    let broker = connected().await;
    let publisher = broker.clone();
    let topic = topic("flush.all");
    for number in 0..10_000 {
        drop(publisher.publish(&topic, vec![Message::new(number.to_string())]));
    }
    publisher.disconnect().await.unwrap();
    let mut subscription = broker.subscribe(&topic, of("q")).await.unwrap();
    assert_eq!(drain(&mut subscription, 10_000).await, texts(0..10_000));
}

#[tokio::test]
async fn a_disconnect_that_cannot_send_what_is_queued_says_so_and_so_do_the_receipts() {
    let broker = Memory::new();
    let address = Address::parse("memory://?limit=2").unwrap();
    broker.init(BrokerOptions::new().address(address)).unwrap();
    broker.connect().await.unwrap();
    let publisher = broker.clone();
    let topic = topic("flush.stuck");
    let _stuck = broker.subscribe(&topic, of("q")).await.unwrap();
    let receipts = publisher.publish(&topic, (0..5).map(|_| Message::new("x")).collect());
    let error = publisher.disconnect().await.unwrap_err();
    assert!(error.to_string().contains("3 queued messages"), "{error}");
    let kinds: Vec<_> = receipts.await.iter().map(|r| r.as_ref().err().map(micro_core::Error::kind)).collect();
    assert_eq!(kinds, [None, None, Some(Kind::Closed), Some(Kind::Closed), Some(Kind::Closed)]);
}

#[tokio::test]
async fn stopped_pulls_no_more_but_what_was_handed_out_may_be_settled() {
    let broker = connected().await;
    let topic = topic("stop.settle");
    let mut a = broker.subscribe(&topic, of("q")).await.unwrap();
    publish(&broker, &topic, ["1", "2"]).await;
    let held = one(&mut a).await;
    a.stop().await;
    assert!(a.next(1).await.unwrap().is_none());
    let mut b = broker.subscribe(&topic, of("q")).await.unwrap();
    assert_eq!(drain(&mut b, 1).await, ["2"]);
    held.ack().await.unwrap();
    silent(&mut b).await;
}

#[tokio::test]
async fn a_dropped_subscription_hears_nothing_more_and_holds_no_publisher_up() {
    let broker = Memory::new();
    let address = Address::parse("memory://?limit=2").unwrap();
    broker.init(BrokerOptions::new().address(address)).unwrap();
    broker.connect().await.unwrap();
    let topic = topic("dropped.sub");
    let subscription = broker.subscribe(&topic, SubscribeOptions::new()).await.unwrap();
    let receipts = broker.publish(&topic, (0..5).map(|_| Message::new("x")).collect());
    drop(subscription);
    tokio::time::timeout(LIMIT, receipts.all()).await.expect("nobody is behind any more").unwrap();
}

#[tokio::test]
async fn dropping_a_waiting_next_loses_no_message_and_no_wake_up() {
    let broker = connected().await;
    let topic = topic("cancel.next");
    let mut a = broker.subscribe(&topic, of("q")).await.unwrap();
    let mut b = broker.subscribe(&topic, of("q")).await.unwrap();
    let publisher = broker.clone();
    let to = topic.clone();
    let publishing = tokio::spawn(async move {
        for body in texts(0..200) {
            publish(&publisher, &to, [body]).await;
            tokio::task::yield_now().await;
        }
    });
    let waiting = tokio::spawn(async move {
        let mut bodies = Vec::new();
        while let Ok(Ok(Some(deliveries))) = tokio::time::timeout(QUIET * 3, b.next(3)).await {
            for delivery in deliveries {
                bodies.push(text(&delivery));
                delivery.ack().await.unwrap();
            }
        }
        bodies
    });
    let mut seen = Vec::new();
    for round in 0..400u32 {
        tokio::select! {
            biased;
            () = async { for _ in 0..round % 4 { tokio::task::yield_now().await } } => {}
            deliveries = a.next(3) => for delivery in deliveries.unwrap().unwrap() {
                seen.push(text(&delivery));
                delivery.ack().await.unwrap();
            },
        }
    }
    publishing.await.unwrap();
    // What came after the last of a's tries is b's, whether or not the wake-up had gone to a.
    seen.extend(waiting.await.unwrap());
    seen.sort_by_key(|body| body.parse::<usize>().unwrap());
    assert_eq!(seen, texts(0..200));
}

#[test]
fn one_broker_serves_two_runtimes() {
    let broker = Memory::new();
    let topic = topic("two.runtimes");
    let (to, publisher) = (topic.clone(), broker.clone());
    let subscriber = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            broker.connect().await.unwrap();
            let mut subscription = broker.subscribe(&topic, of("q")).await.unwrap();
            drain(&mut subscription, 100).await
        })
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        publisher.connect().await.unwrap();
        for body in texts(0..100) {
            publish(&publisher, &to, [body]).await;
        }
    });
    assert_eq!(subscriber.join().unwrap(), texts(0..100));
}

#[tokio::test]
async fn a_name_finds_the_same_world_and_new_makes_another() {
    let (a, b, c) = (Memory::shared("lifecycle"), Memory::shared("lifecycle"), Memory::new());
    for broker in [&a, &b, &c] {
        broker.connect().await.unwrap();
    }
    let topic = topic("same.world");
    publish(&a, &topic, ["1"]).await;
    let mut here = b.subscribe(&topic, of("q")).await.unwrap();
    let mut elsewhere = c.subscribe(&topic, of("q")).await.unwrap();
    assert_eq!(drain(&mut here, 1).await, ["1"]);
    silent(&mut elsewhere).await;
}

#[tokio::test]
async fn an_unknown_parameter_is_refused_by_name() {
    let address = Address::parse("memory://?limits=2").unwrap();
    let error = Memory::new().init(BrokerOptions::new().address(address)).unwrap_err();
    assert!(error.to_string().contains("limits") && error.to_string().contains("limit, max_body"), "{error}");
}

#[tokio::test]
async fn health_is_that_of_the_connection_and_names_the_address() {
    let broker = Memory::shared("health");
    let ill = broker.health().await.unwrap_err();
    assert_eq!((ill.kind(), ill.context("address")), (Kind::Closed, Some("memory://health")));
    broker.connect().await.unwrap();
    broker.health().await.unwrap();
    broker.disconnect().await.unwrap();
    assert_eq!(broker.health().await.unwrap_err().kind(), Kind::Closed);
}
