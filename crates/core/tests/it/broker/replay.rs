use std::time::{Duration, SystemTime};

use micro_core::Kind;
use micro_core::broker::{Broker, Message, Position, Start, SubscribeOptions};

use super::support::*;

// features: E3
#[tokio::test]
async fn a_subscriber_may_start_at_the_earliest_a_position_or_a_time() {
    let broker = connected().await;
    let topic = topic("start.somewhere");
    let to_five = |range: std::ops::Range<usize>| range.map(|i| Message::new(i.to_string()).partition(5)).collect();
    broker.publish(&topic, to_five(0..10)).all().await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let between = SystemTime::now();
    broker.publish(&topic, to_five(10..20)).all().await.unwrap();
    let at = |offset| Start::At(Position::Offset { partition: 5, offset });
    for (round, (start, expected)) in [
        (Start::Earliest, texts(0..20)),
        (at(7), texts(7..20)),
        (at(19), texts(19..20)),
        (Start::Time(between), texts(10..20)),
        (Start::Time(SystemTime::UNIX_EPOCH), texts(0..20)),
    ]
    .into_iter()
    .enumerate()
    {
        for options in [SubscribeOptions::new(), of(&format!("q{round}"))] {
            let mut subscription = broker.subscribe(&topic, options.start(start)).await.unwrap();
            assert_eq!(drain(&mut subscription, expected.len()).await, expected, "{start:?}");
            silent(&mut subscription).await;
        }
    }
    for start in [Start::Latest, at(20)] {
        let mut subscription = broker.subscribe(&topic, SubscribeOptions::new().start(start)).await.unwrap();
        silent(&mut subscription).await;
    }
}

#[tokio::test]
async fn a_queue_that_exists_goes_on_where_it_was_whatever_start_says() {
    let broker = connected().await;
    let topic = topic("start.again");
    publish(&broker, &topic, texts(0..5)).await;
    let mut first = broker.subscribe(&topic, of("q")).await.unwrap();
    drain(&mut first, 2).await;
    drop(first);
    for start in [Start::Latest, Start::Earliest] {
        let mut again = broker.subscribe(&topic, of("q").start(start)).await.unwrap();
        let delivery = one(&mut again).await;
        assert_eq!(text(&delivery), "2", "a restart neither skips nor repeats");
    }
}

#[tokio::test]
async fn a_live_subscription_may_seek_back_and_forth() {
    let broker = connected().await;
    let topic = topic("seek.live");
    let mut subscription = broker.subscribe(&topic, of("q")).await.unwrap();
    publish(&broker, &topic, texts(0..10)).await;
    assert_eq!(drain(&mut subscription, 10).await, texts(0..10));
    subscription.seek(Start::Earliest).await.unwrap();
    let held = hold(&mut subscription, 3).await;
    subscription.seek(Start::Latest).await.unwrap();
    drop(held);
    silent(&mut subscription).await;
    publish(&broker, &topic, ["new"]).await;
    assert_eq!(drain(&mut subscription, 1).await, ["new"]);
}

#[tokio::test]
async fn seeking_in_one_partition_leaves_the_others_where_they_are() {
    let broker = connected().await;
    let topic = topic("seek.partition");
    let messages = (0..8).map(|i| Message::new(i.to_string()).partition(i % 2)).collect();
    broker.publish(&topic, messages).all().await.unwrap();
    let mut subscription = broker.subscribe(&topic, of("q")).await.unwrap();
    drain(&mut subscription, 4).await;
    subscription.seek(Start::At(Position::Offset { partition: 1, offset: 0 })).await.unwrap();
    assert_eq!(drain(&mut subscription, 6).await, ["1", "3", "4", "5", "6", "7"]);
    silent(&mut subscription).await;
}

#[tokio::test]
async fn a_position_that_is_not_there_is_refused_and_the_old_one_stays() {
    let broker = connected().await;
    let topic = topic("seek.nowhere");
    let mut subscription = broker.subscribe(&topic, of("q")).await.unwrap();
    publish(&broker, &topic, ["1"]).await;
    for position in [
        Position::Offset { partition: 3, offset: 99 },
        Position::Offset { partition: 99, offset: 0 },
        Position::Sequence(1),
    ] {
        let error = subscription.seek(Start::At(position)).await.unwrap_err();
        assert!(error.kind() == Kind::NotFound && error.to_string().contains(&position.to_string()), "{error}");
        let error = broker.subscribe(&topic, SubscribeOptions::new().start(Start::At(position))).await.unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound);
    }
    assert_eq!(drain(&mut subscription, 1).await, ["1"]);
}

#[tokio::test]
async fn paused_is_silent_and_resumed_goes_on_without_loss() {
    let broker = connected().await;
    let topic = topic("pause.resume");
    let mut a = broker.subscribe(&topic, of("q")).await.unwrap();
    a.pause().await.unwrap();
    publish(&broker, &topic, texts(0..5)).await;
    silent(&mut a).await;
    a.resume().await.unwrap();
    assert_eq!(drain(&mut a, 5).await, texts(0..5));
}
