//! Records of other programs, and ours for them.

use micro_core::Kind;
use micro_core::broker::{Broker, Message, Start, SubscribeOptions};

use crate::world::{address, broker, broker_at, handle, member, nothing, queue, take, text, texts, topic, within};

fn envelope(header: &str, body: &str) -> Vec<u8> {
    format!(r#"{{"Header":{header},"Body":{body}}}"#).into_bytes()
}

#[tokio::test]
async fn an_envelope_without_native_headers_is_opened_and_nothing_else_is() {
    let broker = broker().await;
    let raw = broker_at(&address("&envelope=off")).await;
    let topic = topic("envelope");
    let mut guessing = broker.subscribe(&topic, SubscribeOptions::new()).await.unwrap();
    let mut plain = raw.subscribe(&topic, SubscribeOptions::new()).await.unwrap();
    let go = envelope(r#"{"Content-Type":"text/plain","Foo":"\u003c\u0026"}"#, r#""YWJj""#);
    let other = br#"{"Header":{},"Body":"","More":1}"#.to_vec();
    crate::raw::publish(&topic, &[], None, Some(&go));
    let opened = take(&mut *guessing, 1).await.remove(0);
    assert_eq!((opened.body(), opened.headers().get_str("Foo")), (&"abc".into(), Some("<&")));
    assert_eq!(take(&mut *plain, 1).await[0].body(), &go);
    crate::raw::publish(&topic, &[], None, Some(&other));
    assert_eq!(handle(&mut *guessing, 1).await[0].as_bytes(), other);
    crate::raw::publish(&topic, &[("A", Some(b"1"))], None, Some(&go));
    assert_eq!(handle(&mut *guessing, 1).await[0].as_bytes(), go);
    crate::raw::publish(&topic, &[], None, Some(&envelope("null", "null")));
    let empty = take(&mut *guessing, 1).await.remove(0);
    assert!(empty.headers().is_empty() && empty.body().is_empty());
    broker.disconnect().await.unwrap();
    raw.disconnect().await.unwrap();
}

#[tokio::test]
async fn records_without_a_body_key_or_header_value_are_delivered() {
    let broker = broker().await;
    let topic = topic("null");
    let mut all = broker.subscribe(&topic, SubscribeOptions::new()).await.unwrap();
    crate::raw::publish(&topic, &[("empty", Some(b"")), ("null", None), ("empty", Some(b"2"))], Some(b"k"), None);
    let one = take(&mut *all, 1).await.remove(0);
    assert!(one.body().is_empty() && one.key() == Some(&"k".into()));
    let names: Vec<_> = one.headers().iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    assert_eq!(names, [("empty".into(), "".into()), ("null".into(), "".into()), ("empty".into(), "2".into())]);
    crate::raw::publish(&topic, &[], None, Some(b"x"));
    assert_eq!(take(&mut *all, 1).await[0].key(), None);
    broker.disconnect().await.unwrap();
}

#[tokio::test]
async fn what_others_committed_beside_an_offset_is_no_trouble() {
    let broker = broker_at(&address("&partitions=1")).await;
    let (topic, queue) = (topic("text"), queue("q"));
    within("receipts", broker.publish(&topic, texts("m", 4)).all()).await.unwrap();
    for (offset, text) in [(1, "sarama says hello"), (2, "m1:not-ours")] {
        crate::raw::commit(&topic, queue.as_str(), offset, text);
        let mut one = broker.subscribe(&topic, member(&queue)).await.unwrap();
        assert_eq!(text_of_first(&mut *one).await, format!("m{offset}"));
        within("unsubscribe", one.unsubscribe()).await.unwrap();
    }
    broker.disconnect().await.unwrap();
}

async fn text_of_first(subscription: &mut dyn micro_core::broker::Subscription) -> String {
    text(&take(subscription, 1).await[0])
}

#[tokio::test]
async fn the_dialect_of_go_micro_writes_an_envelope_without_key_and_headers() {
    let go = broker_at(&address("&dialect=gomicro&partitions=1")).await;
    let raw = broker_at(&address("&envelope=off")).await;
    let topic = topic("gomicro");
    assert!(!go.capability().keys);
    let mut theirs = go.subscribe(&topic, SubscribeOptions::new()).await.unwrap();
    let mut plain = raw.subscribe(&topic, SubscribeOptions::new()).await.unwrap();
    let message = Message::new("abc").key("k").header("Micro-Topic", "t").header("Content-Type", "text/plain");
    within("receipt", go.publish(&topic, vec![message.clone()]).first()).await.unwrap();
    let record = take(&mut *plain, 1).await.remove(0);
    let expected = envelope(r#"{"Content-Type":"text/plain","Micro-Topic":"t"}"#, r#""YWJj""#);
    assert_eq!((record.body(), record.key(), record.headers().len()), (&expected.into(), None, 0));
    let back = take(&mut *theirs, 1).await.remove(0);
    assert_eq!((back.body(), back.headers().get_str("micro-topic")), (&message.body, Some("t")));
    let twice = Message::new("").header("A", "1").header("A", "2");
    let error = within("receipt", go.publish(&topic, vec![twice]).first()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidArgument, "{error}");
    let ordered = go.subscribe(&topic, member(&queue("q")).ordered()).await;
    assert_eq!(ordered.unwrap_err().kind(), Kind::Unsupported);
    // As with go-micro's plugin, a queue begins with what is new.
    let mut queued = go.subscribe(&topic, member(&queue("q"))).await.unwrap();
    nothing(&mut *queued).await;
    within("receipt", go.publish(&topic, texts("new", 1)).first()).await.unwrap();
    assert_eq!(handle(&mut *queued, 1).await, ["new0"]);
    go.disconnect().await.unwrap();
    raw.disconnect().await.unwrap();
}

#[tokio::test]
async fn members_of_go_micro_s_dialect_share_as_its_groups_do_and_may_come_and_go() {
    let (first, second) = (
        broker_at(&address("&dialect=gomicro&partitions=4")).await,
        broker_at(&address("&dialect=gomicro&partitions=4")).await,
    );
    let (topic, queue) = (topic("range"), queue("q"));
    let from_start = || member(&queue).start(Start::Earliest);
    let mut one = first.subscribe(&topic, from_start()).await.unwrap();
    let mut two = within("subscription", second.subscribe(&topic, from_start())).await.unwrap();
    let messages = (0..4).map(|p| Message::new(format!("m{p}")).partition(p)).collect();
    within("receipts", first.publish(&topic, messages).all()).await.unwrap();
    let mut bodies = handle(&mut *two, 2).await;
    bodies.extend(handle(&mut *one, 2).await);
    bodies.sort();
    assert_eq!(bodies, ["m0", "m1", "m2", "m3"]);
    within("unsubscribe", two.unsubscribe()).await.unwrap();
    let messages = (0..4).map(|p| Message::new(format!("n{p}")).partition(p)).collect();
    within("receipts", first.publish(&topic, messages).all()).await.unwrap();
    assert_eq!(handle(&mut *one, 4).await.len(), 4);
    nothing(&mut *one).await;
    first.disconnect().await.unwrap();
    second.disconnect().await.unwrap();
}
