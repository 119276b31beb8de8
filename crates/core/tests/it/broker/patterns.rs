use std::collections::BTreeSet;
use std::time::Duration;

use micro_core::Kind;
use micro_core::broker::{Broker, Message, Pattern, Position, Start, SubscribeOptions, Subscription};

use super::support::*;

fn pattern(text: &str) -> Pattern {
    Pattern::new(text).unwrap()
}

/// Takes and acknowledges so many, and returns their topics and bodies.
async fn told(subscription: &mut Box<dyn Subscription>, count: usize) -> BTreeSet<String> {
    let mut told = BTreeSet::new();
    while told.len() < count {
        let delivery = one(subscription).await;
        told.insert(format!("{} {}", delivery.topic(), text(&delivery)));
        delivery.ack().await.unwrap();
    }
    told
}

fn set<const N: usize>(words: [&str; N]) -> BTreeSet<String> {
    words.map(str::to_owned).into()
}

/// Returns when every task waits: a clock that stands still goes on only then.
async fn all_wait() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test]
async fn a_pattern_gets_its_topics_and_those_made_later_each_by_its_name() {
    let broker = connected().await;
    publish(&broker, &topic("go.early"), ["before"]).await;
    let mut all = broker.subscribe_pattern(&pattern("go.*"), SubscribeOptions::new()).await.unwrap();
    assert_eq!((all.topic(), all.queue()), (None, None));
    for (name, body) in [("go.early", "1"), ("go.late", "2"), ("go.late.far", "3"), ("go", "4")] {
        if let Ok(topic) = micro_core::broker::Topic::new(name) {
            publish(&broker, &topic, [body]).await;
        }
    }
    assert_eq!(told(&mut all, 2).await, set(["go.early 1", "go.late 2"]));
    silent(&mut all).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_waits_hears_of_a_topic_made_meanwhile_and_of_the_end() {
    let broker = connected().await;
    let mut waits = broker.subscribe_pattern(&pattern("made.>"), of("q")).await.unwrap();
    let waiting = tokio::spawn(async move {
        let first = one(&mut waits).await;
        let first = (first.topic().to_string(), first.ack().await.is_ok());
        (first, waits.next(1).await.unwrap().is_none())
    });
    all_wait().await;
    publish(&broker, &topic("made.while.waiting"), ["1"]).await;
    all_wait().await;
    broker.disconnect().await.unwrap();
    let ended = tokio::time::timeout(LIMIT, waiting).await.unwrap().unwrap();
    assert_eq!(ended, (("made.while.waiting".to_owned(), true), true));
}

#[tokio::test(start_paused = true)]
async fn the_end_is_heard_also_where_no_topic_is_yet() {
    let broker = connected().await;
    let mut waits = broker.subscribe_pattern(&pattern("no.topic.*"), of("q")).await.unwrap();
    let waiting = tokio::spawn(async move { waits.next(1).await.unwrap().is_none() });
    all_wait().await;
    broker.disconnect().await.unwrap();
    assert!(tokio::time::timeout(LIMIT, waiting).await.unwrap().unwrap());
}

#[tokio::test(start_paused = true)]
async fn the_limit_is_one_over_all_topics_and_goes_on_as_soon_as_one_is_settled() {
    let broker = connected().await;
    let mut few = broker.subscribe_pattern(&pattern("few.*"), of("q").in_flight(2)).await.unwrap();
    for name in ["few.one", "few.two", "few.three"] {
        publish(&broker, &topic(name), ["a", "b"]).await;
    }
    let mut held = hold(&mut few, 2).await;
    silent(&mut few).await;
    let waiting = tokio::spawn(async move { (one(&mut few).await.ack().await.is_ok(), few) });
    all_wait().await;
    held.pop().unwrap().ack().await.unwrap();
    let (acknowledged, mut few) = tokio::time::timeout(LIMIT, waiting).await.unwrap().unwrap();
    assert!(acknowledged);
    drop(held);
    assert_eq!(told(&mut few, 4).await.len(), 4);
    silent(&mut few).await;
}

#[tokio::test]
async fn a_lease_that_ends_makes_room_also_at_the_limit() {
    let broker = connected().await;
    let options = of("q").in_flight(1).lease(Duration::from_millis(100));
    let mut leased = broker.subscribe_pattern(&pattern("leased.*"), options).await.unwrap();
    publish(&broker, &topic("leased.out"), ["1"]).await;
    let held = one(&mut leased).await;
    let again = one(&mut leased).await;
    assert_eq!((text(&again), again.deliveries()), ("1".to_owned(), Some(2)));
    assert_eq!(held.ack().await.unwrap_err().kind(), Kind::Conflict);
    again.ack().await.unwrap();
}

#[tokio::test]
async fn a_queue_is_shared_with_those_who_name_the_topic() {
    let broker = connected().await;
    let shared = topic("shared.one");
    let mut by_name = broker.subscribe(&shared, of("q")).await.unwrap();
    let mut by_pattern = broker.subscribe_pattern(&pattern("shared.*"), of("q")).await.unwrap();
    publish(&broker, &shared, texts(0..40)).await;
    let reading = tokio::spawn(async move {
        let mut got = Vec::new();
        while let Ok(next) = tokio::time::timeout(QUIET, by_name.next(1)).await {
            for delivery in next.unwrap().unwrap() {
                got.push(text(&delivery));
                delivery.ack().await.unwrap();
            }
        }
        got
    });
    let mut got = Vec::new();
    while let Ok(next) = tokio::time::timeout(QUIET, by_pattern.next(1)).await {
        for delivery in next.unwrap().unwrap() {
            got.push(text(&delivery));
            delivery.ack().await.unwrap();
        }
    }
    let others = reading.await.unwrap();
    assert!(!got.is_empty() && !others.is_empty(), "{} and {}", got.len(), others.len());
    got.extend(others);
    got.sort_by_key(|number| number.parse::<usize>().unwrap());
    assert_eq!(got, texts(0..40));
}

/// The first that waits is woken by both topics, and may have one message only.
#[tokio::test(start_paused = true)]
async fn a_wake_up_that_a_pattern_does_not_use_goes_to_another_member() {
    let broker = connected().await;
    let topics = [topic("wake.one"), topic("wake.two")];
    for topic in &topics {
        publish(&broker, topic, ["0"]).await;
    }
    let mut members = Vec::new();
    for _ in 0..2 {
        let mut member = broker.subscribe_pattern(&pattern("wake.*"), of("q").in_flight(1)).await.unwrap();
        if members.is_empty() {
            assert_eq!(told(&mut member, 2).await.len(), 2);
        }
        members.push(tokio::spawn(async move { (one(&mut member).await, member) }));
        all_wait().await;
    }
    for topic in &topics {
        publish(&broker, topic, ["1"]).await;
    }
    let mut held = Vec::new();
    for member in members {
        held.push(tokio::time::timeout(LIMIT, member).await.unwrap().unwrap());
    }
    assert_ne!(held[0].0.topic(), held[1].0.topic());
}

#[tokio::test]
async fn pausing_holds_for_topics_made_later_and_stopping_lets_settle() {
    let broker = connected().await;
    let mut paused = broker.subscribe_pattern(&pattern("paused.>"), of("q")).await.unwrap();
    publish(&broker, &topic("paused.one"), ["1"]).await;
    paused.pause().await.unwrap();
    publish(&broker, &topic("paused.two"), ["2"]).await;
    silent(&mut paused).await;
    paused.resume().await.unwrap();
    let held = hold(&mut paused, 2).await;
    paused.stop().await;
    assert!(paused.next(1).await.unwrap().is_none());
    for delivery in held {
        delivery.ack().await.unwrap();
    }
    paused.unsubscribe().await.unwrap();
    publish(&broker, &topic("paused.three"), ["3"]).await;
    silent(&mut broker.subscribe_pattern(&pattern("paused.one"), of("q")).await.unwrap()).await;
}

#[tokio::test]
async fn a_pattern_starts_and_seeks_by_time_and_ends_but_not_by_a_position() {
    let broker = connected().await;
    publish(&broker, &topic("seek.one"), ["1"]).await;
    publish(&broker, &topic("seek.two"), ["2"]).await;
    let earliest = SubscribeOptions::new().start(Start::Earliest);
    let mut all = broker.subscribe_pattern(&pattern("seek.*"), earliest).await.unwrap();
    let both = set(["seek.one 1", "seek.two 2"]);
    assert_eq!(told(&mut all, 2).await, both);
    all.seek(Start::Earliest).await.unwrap();
    assert_eq!(told(&mut all, 2).await, both);
    let at = Start::At(Position::Offset { partition: 0, offset: 0 });
    let error = all.seek(at).await.unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidArgument, "{error}");
    let options = SubscribeOptions::new().start(at);
    let error = broker.subscribe_pattern(&pattern("seek.*"), options).await.unwrap_err();
    assert_eq!((error.kind(), error.context("pattern")), (Kind::InvalidArgument, Some("seek.*")));
    let poor = broker.restrict(|capability| capability.wildcard = false);
    let error = poor.subscribe_pattern(&pattern("seek.*"), SubscribeOptions::new()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
}

#[tokio::test]
async fn a_request_finds_the_pattern_that_means_its_topic() {
    let broker = connected().await;
    let mut answers = broker.subscribe_pattern(&pattern("asked.*"), of("q")).await.unwrap();
    let unheard = broker.request(&topic("unasked.one"), Message::new("?"), LIMIT).await.unwrap_err();
    assert_eq!(unheard.kind(), Kind::NoResponder);
    let asked = topic("asked.new");
    let (reply, ()) = tokio::join!(broker.request(&asked, Message::new("?"), LIMIT), async {
        let request = one(&mut answers).await;
        broker.reply(&request.reply_to().unwrap(), Message::new("!")).first().await.unwrap();
    });
    assert_eq!(reply.unwrap().body, "!");
}
