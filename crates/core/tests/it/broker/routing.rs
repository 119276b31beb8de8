use std::time::SystemTime;

use micro_core::Kind;
use micro_core::broker::{Broker, Capability, Memory, Message, Position, SubscribeOptions, Topic};

use super::support::*;

// features: D1
#[tokio::test]
async fn what_is_published_arrives_with_bytes_and_headers_as_they_were() {
    let broker = connected().await;
    let topic = topic("payload.bytes");
    let mut subscription = broker.subscribe(&topic, SubscribeOptions::new()).await.unwrap();
    let every: Vec<u8> = (0..=255).collect();
    for body in [Vec::new(), vec![7], every, vec![0xC3; 65_536]] {
        let message = Message::new(body.clone())
            .key("k")
            .header("Foo-Bar", "1")
            .header("foo-bar", "2")
            .header("Empty", "")
            .header("Träger", "Straße");
        broker.publish(&topic, vec![message.clone()]).all().await.unwrap();
        let delivery = one(&mut subscription).await;
        assert_eq!(delivery.body(), &body);
        assert_eq!(*delivery.headers(), message.headers);
        assert_eq!(delivery.key(), message.key.as_ref());
        delivery.ack().await.unwrap();
    }
}

// features: D3
#[tokio::test]
async fn without_a_queue_everyone_gets_everything_from_now_on() {
    let broker = connected().await;
    let topic = topic("fan.out");
    publish(&broker, &topic, ["before"]).await;
    let mut a = broker.subscribe(&topic, SubscribeOptions::new()).await.unwrap();
    let mut b = broker.clone().subscribe(&topic, SubscribeOptions::new()).await.unwrap();
    publish(&broker, &topic, texts(0..50)).await;
    assert_eq!(drain(&mut a, 50).await, texts(0..50));
    assert_eq!(drain(&mut b, 50).await, texts(0..50));
}

#[tokio::test]
async fn topics_are_apart_and_so_are_queues_of_one_name_on_two_topics() {
    let broker = connected().await;
    let (x, y) = (topic("topic.x"), topic("topic.y"));
    let mut a = broker.subscribe(&x, of("q")).await.unwrap();
    let mut b = broker.subscribe(&y, of("q")).await.unwrap();
    publish(&broker, &x, ["x"]).await;
    publish(&broker, &y, ["y"]).await;
    assert_eq!(drain(&mut a, 1).await, ["x"]);
    assert_eq!(drain(&mut b, 1).await, ["y"]);
    silent(&mut a).await;
}

#[tokio::test]
async fn a_delivery_says_when_and_where_it_was_published() {
    let broker = connected().await;
    let topic = topic("when.and.where");
    let mut subscription = broker.subscribe(&topic, SubscribeOptions::new()).await.unwrap();
    let message = Message::new("x").partition(11).header("micro-id", "0192");
    let receipt = broker.publish(&topic, vec![message]).first().await.unwrap();
    let delivery = one(&mut subscription).await;
    assert_eq!(delivery.position(), Some(Position::Offset { partition: 11, offset: 0 }));
    assert_eq!(delivery.position(), receipt.position);
    assert_eq!(delivery.id(), "0192");
    assert!(SystemTime::now().duration_since(delivery.published().unwrap()).unwrap().as_secs() < 5);
    assert!(delivery.message().options().is_none(), "what was asked of the broker is not sent on");
}

#[tokio::test]
async fn one_bad_message_of_a_batch_loses_no_other() {
    let broker = connected().await;
    let topic = topic("one.bad");
    let mut subscription = broker.subscribe(&topic, SubscribeOptions::new()).await.unwrap();
    let bad = Message::new("bad").header("X-Note", "a\r\nb");
    let far = Message::new("far").partition(16);
    let results = broker.publish(&topic, vec![Message::new("1"), bad, far, Message::new("2")]).await;
    assert!(results[0].is_ok() && results[3].is_ok());
    assert!(results[1].as_ref().unwrap_err().to_string().contains("X-Note"));
    assert!(results[2].as_ref().unwrap_err().to_string().contains("no partition 16"));
    assert_eq!(drain(&mut subscription, 2).await, ["1", "2"]);
}

#[tokio::test]
async fn what_is_not_declared_is_refused_by_name() {
    let broker = Memory::new().restrict(|capability| {
        *capability = Capability::default();
    });
    broker.connect().await.unwrap();
    let topic = Topic::new("not.declared").unwrap();
    for (options, word) in [
        (of("q"), "queues"),
        (SubscribeOptions::new().ordered(), "order"),
        (SubscribeOptions::new().start(micro_core::broker::Start::Earliest), "start position"),
    ] {
        let error = broker.subscribe(&topic, options).await.unwrap_err();
        assert!(error.kind() == Kind::Unsupported && error.to_string().contains(word), "{error}");
    }
    let mut subscription = broker.subscribe(&topic, SubscribeOptions::new()).await.unwrap();
    assert_eq!(subscription.pause().await.unwrap_err().kind(), Kind::Unsupported);
    assert_eq!(subscription.seek(micro_core::broker::Start::Latest).await.unwrap_err().kind(), Kind::Unsupported);
    let delayed = Message::new("x").delay(QUIET);
    assert_eq!(broker.publish(&topic, vec![delayed]).first().await.unwrap_err().kind(), Kind::Unsupported);
}

#[tokio::test]
async fn a_body_over_the_limit_is_too_large_and_the_broker_goes_on() {
    let broker = Memory::new();
    let address = micro_core::address::Address::parse("memory://?max_body=10").unwrap();
    broker.init(micro_core::broker::BrokerOptions::new().address(address)).unwrap();
    broker.connect().await.unwrap();
    let topic = topic("too.large");
    let error = broker.publish(&topic, vec![Message::new(vec![0; 11])]).first().await.unwrap_err();
    assert!(error.kind() == Kind::TooLarge && error.to_string().contains("11 bytes"), "{error}");
    publish(&broker, &topic, ["0123456789"]).await;
}

#[tokio::test]
async fn a_known_deduplication_id_is_taken_once() {
    let broker = connected().await;
    let topic = topic("twice.once");
    let mut subscription = broker.subscribe(&topic, SubscribeOptions::new()).await.unwrap();
    let message = || Message::new("x").deduplication_id("order-7");
    let first = broker.publish(&topic, vec![message()]).first().await.unwrap();
    let second = broker.publish(&topic, vec![message()]).first().await.unwrap();
    assert_eq!(first, second, "the receipt of the second names the first");
    assert_eq!(drain(&mut subscription, 1).await, ["x"]);
    silent(&mut subscription).await;
}
