use micro_core::Kind;
use micro_core::broker::{Broker, Message, Position, SubscribeOptions};

use crate::world::{address, broker, broker_at, nothing, take, text, texts, topic, within};

// features: D14
#[tokio::test]
async fn what_is_published_after_subscribe_arrives_with_headers_key_and_body() {
    let broker = broker().await;
    let topic = topic("arrive");
    let mut all = broker.subscribe(&topic, SubscribeOptions::new()).await.unwrap();
    let mut message = Message::new(vec![0, 1, 255]).key("order-7");
    for (name, value) in
        [("Content-Type", "application/protobuf"), ("x-Note", "ü"), ("x-Note", ""), ("Micro-Id", "id-1")]
    {
        message.headers.append(name, value);
    }
    let sent = message.clone();
    let receipt = within("receipt", broker.publish(&topic, vec![message]).first()).await.unwrap();
    let delivery = take(&mut *all, 1).await.remove(0);
    assert_eq!(delivery.headers(), &sent.headers);
    assert_eq!((delivery.key(), delivery.body()), (sent.key.as_ref(), &sent.body));
    assert_eq!(delivery.id(), "id-1");
    assert_eq!(delivery.position(), receipt.position);
    let age = delivery.published().unwrap().elapsed().unwrap_or_default();
    assert!(age.as_secs() < 30, "{age:?}");
    delivery.ack().await.unwrap();
    nothing(&mut *all).await;
    broker.disconnect().await.unwrap();
}

#[tokio::test]
async fn bodies_of_every_sort_arrive_as_they_were() {
    let broker = broker().await;
    let topic = topic("bodies");
    let mut all = broker.subscribe(&topic, SubscribeOptions::new()).await.unwrap();
    let bodies: Vec<Vec<u8>> = vec![
        vec![],
        vec![7],
        (0..=255).collect(),
        vec![0xff; 64 << 10],
        vec![9; 300_000],
        br#"{"Header":{},"Body":""}"#.to_vec(),
    ];
    for body in &bodies {
        // A header keeps even what looks like an envelope from being opened.
        let message = Message::new(body.clone()).header("A", "1").partition(0);
        within("receipt", broker.publish(&topic, vec![message]).first()).await.unwrap();
    }
    for (delivery, body) in take(&mut *all, bodies.len()).await.into_iter().zip(bodies) {
        assert!(delivery.body() == &body, "{} bytes", body.len());
        delivery.ack().await.unwrap();
    }
    broker.disconnect().await.unwrap();
}

#[tokio::test]
async fn a_batch_has_a_receipt_each_and_one_bad_message_does_not_stop_the_others() {
    let broker = broker().await;
    let topic = topic("batch");
    let mut all = broker.subscribe(&topic, SubscribeOptions::new()).await.unwrap();
    let messages = vec![
        Message::new("a").partition(1),
        Message::new("b").header("bad", "line\nbreak"),
        Message::new("c").partition(1),
        Message::new("d").partition(99),
        Message::new(vec![0; 1_000_001]),
        Message::new("e").delay(std::time::Duration::from_secs(1)),
        Message::new(vec![0; 999_990]),
    ];
    let results = within("receipts", broker.publish(&topic, messages)).await;
    let kinds: Vec<_> =
        results.iter().map(|result| result.as_ref().map(|_| ()).map_err(|error| error.kind())).collect();
    let expected = [
        Ok(()),
        Err(Kind::InvalidArgument),
        Ok(()),
        Err(Kind::NotFound),
        Err(Kind::TooLarge),
        Err(Kind::Unsupported),
        Err(Kind::TooLarge),
    ];
    assert_eq!(kinds, expected, "{results:?}");
    let at = |i: usize| results[i].as_ref().unwrap().position;
    assert_eq!(at(0), Some(Position::Offset { partition: 1, offset: 0 }));
    assert_eq!(at(2), Some(Position::Offset { partition: 1, offset: 1 }));
    let came: Vec<_> = take(&mut *all, 2).await.iter().map(text).collect();
    assert_eq!(came, ["a", "c"]);
    broker.disconnect().await.unwrap();
}

#[tokio::test]
async fn a_key_lies_always_in_the_partition_where_a_java_client_puts_it() {
    let broker = broker_at(&address("&partitions=16")).await;
    let topic = topic("keys");
    // murmur2 of the Java client, its sign bit cleared, modulo 16: -790332482, -973932308 and -985981536 by its own tests.
    for (key, expected) in [("foobar", 14), ("21", 12), ("a-little-bit-long-string", 0)] {
        let receipt = within("receipt", broker.publish(&topic, vec![Message::new("").key(key)]).first()).await.unwrap();
        match receipt.position {
            Some(Position::Offset { partition, .. }) => assert_eq!(partition, expected, "{key}"),
            other => panic!("{other:?}"),
        }
    }
    broker.disconnect().await.unwrap();
}

#[tokio::test]
async fn disconnecting_sends_what_nobody_waited_for() {
    let publisher = broker().await;
    let topic = topic("flush");
    for i in 0..10 {
        drop(publisher.publish(&topic, texts(&format!("{i}-"), 1000)));
    }
    within("disconnect", publisher.disconnect()).await.unwrap();
    let reader = broker().await;
    let options = SubscribeOptions::new().start(micro_core::broker::Start::Earliest).in_flight(20_000);
    let mut all = reader.subscribe(&topic, options).await.unwrap();
    let held = take(&mut *all, 10_000).await;
    nothing(&mut *all).await;
    drop(held);
    reader.disconnect().await.unwrap();
}

#[tokio::test]
async fn the_first_messages_for_a_new_topic_keep_their_order() {
    let broker = broker_at(&address("&partitions=1")).await;
    let topic = topic("new");
    let receipts: Vec<_> = (0..50).map(|i| broker.publish(&topic, texts(&format!("{i}-"), 3))).collect();
    let mut offsets = Vec::new();
    for receipt in receipts {
        for one in within("receipts", receipt.all()).await.unwrap() {
            offsets.push(one.position.unwrap());
        }
    }
    assert!(offsets.is_sorted() && offsets.len() == 150);
    broker.disconnect().await.unwrap();
}

#[tokio::test]
async fn every_compression_is_undone_by_the_reader() {
    let reader = broker().await;
    let topic = topic("compressed");
    let mut all = reader.subscribe(&topic, SubscribeOptions::new()).await.unwrap();
    for compression in ["gzip", "snappy", "lz4", "zstd"] {
        let publisher = broker_at(&address(&format!("&compression={compression}"))).await;
        let body = compression.repeat(10_000);
        let messages = vec![Message::new(body.clone()).key("k"); 20];
        within("receipts", publisher.publish(&topic, messages).all()).await.unwrap();
        for delivery in take(&mut *all, 20).await {
            assert_eq!(text(&delivery), body);
            delivery.ack().await.unwrap();
        }
        publisher.disconnect().await.unwrap();
    }
    reader.disconnect().await.unwrap();
}
