use std::time::{Duration, Instant};

use micro_core::broker::{Broker, Message, Position};

use crate::desk::{Desk, ack, bodies, connect, nothing, settle, take};

// features: D1, D2
#[tokio::test]
async fn headers_key_time_and_position_come_with_the_message() {
    let desk = Desk::open().await;
    let mut queue = desk.queue("q").await;
    let before = std::time::SystemTime::now() - Duration::from_millis(1);
    let message = Message::new(vec![0, 159, 146, 150]).header("Foo-Bar", "1").header("foo-bar", "2").key("k");
    let receipt = desk.broker.publish(&desk.topic, vec![message]).first().await.unwrap();
    let delivery = take(&mut queue, 1).await.remove(0);
    let names: Vec<_> = delivery.headers().iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    assert_eq!(names, [("Foo-Bar".into(), "1".into()), ("foo-bar".into(), "2".into())]);
    assert_eq!(delivery.key().unwrap(), "k");
    assert_eq!(delivery.body()[..], [0, 159, 146, 150]);
    assert_eq!(delivery.position(), receipt.position);
    assert_eq!(delivery.id(), &delivery.position().unwrap().to_string());
    assert!((before..=std::time::SystemTime::now()).contains(&delivery.published().unwrap()));
    assert_eq!((delivery.queue().unwrap().as_str(), delivery.topic()), ("q", &desk.topic));
    assert_eq!((desk.broker.name(), desk.broker.address()), ("embedded", desk.folder.path().display().to_string()));

    desk.broker.publish(&desk.topic, vec![Message::new("").header("Micro-Id", "m-1")]).first().await.unwrap();
    assert_eq!(take(&mut queue, 1).await[0].id(), "m-1");
}

#[tokio::test]
async fn messages_of_one_key_lie_in_one_partition_in_the_order_they_were_published() {
    let desk = Desk::open().await;
    let mut positions = Vec::new();
    for number in 0..20 {
        let message = Message::new(number.to_string()).key("order-7");
        positions.push(desk.broker.publish(&desk.topic, vec![message]).first().await.unwrap().position.unwrap());
    }
    for (number, position) in positions.iter().enumerate() {
        assert!(matches!(position, Position::Offset { offset, .. } if *offset == number as u64), "{position}");
    }
    let mut queue = desk.queue("q").await;
    let got = take(&mut queue, 20).await;
    assert_eq!(bodies(&got), crate::desk::texts(0..20));
}

#[tokio::test]
async fn a_delayed_message_appears_later_and_an_expired_one_never() {
    let desk = Desk::open_with("?partitions=1").await;
    let mut queue = desk.queue("q").await;
    let begun = Instant::now();
    let messages = vec![
        Message::new("late").delay(Duration::from_millis(500)),
        Message::new("gone").ttl(Duration::from_millis(1)).delay(Duration::from_millis(300)),
        Message::new("now"),
        Message::new("fresh").ttl(Duration::from_secs(600)),
    ];
    tokio::time::sleep(Duration::from_millis(2)).await;
    desk.broker.publish(&desk.topic, messages).all().await.unwrap();
    let first = take(&mut queue, 2).await;
    assert_eq!(bodies(&first), ["now", "fresh"]);
    ack(first).await;
    let late = take(&mut queue, 1).await;
    assert!(begun.elapsed() >= Duration::from_millis(500));
    // Whether the second one was seen in its only millisecond is up to the machine.
    let late = if bodies(&late) == ["gone"] { take(&mut queue, 1).await } else { late };
    assert_eq!((bodies(&late), late[0].attempts(), late[0].deliveries()), (vec!["late".to_owned()], 0, Some(1)));
}

#[tokio::test]
async fn two_brokers_of_one_process_share_the_folder() {
    let desk = Desk::open().await;
    let other = connect(desk.folder.path(), "").await;
    let mut queue = desk.queue("q").await;
    other.publish(&desk.topic, vec![Message::new("0")]).all().await.unwrap();
    other.disconnect().await.unwrap();
    desk.publish([1]).await;
    assert_eq!(settle(&mut queue, 2).await, ["0", "1"]);
    nothing(&mut queue).await;
}
