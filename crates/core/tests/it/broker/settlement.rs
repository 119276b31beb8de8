use std::time::Duration;

use micro_core::Kind;
use micro_core::broker::{Broker, Message, Reason, Settle, Settlement, SubscribeOptions};
use tokio::time::Instant;

use super::support::*;

// features: D6
#[tokio::test]
async fn acknowledged_is_gone_for_the_queue() {
    let broker = connected().await;
    let topic = topic("ack.gone");
    let mut subscription = broker.subscribe(&topic, of("q")).await.unwrap();
    publish(&broker, &topic, ["1"]).await;
    one(&mut subscription).await.ack().await.unwrap();
    subscription.unsubscribe().await.unwrap();
    let mut again = broker.subscribe(&topic, of("q")).await.unwrap();
    silent(&mut again).await;
}

// features: E4
#[tokio::test]
async fn retry_comes_again_after_its_pause_with_the_attempts_counted() {
    let broker = connected().await;
    for options in [of("q"), SubscribeOptions::new()] {
        let topic = topic("retry.pause");
        let mut subscription = broker.subscribe(&topic, options).await.unwrap();
        publish(&broker, &topic, ["1"]).await;
        let mut paused = Instant::now();
        for failures in 0..3 {
            let delivery = one(&mut subscription).await;
            assert!(failures == 0 || paused.elapsed() >= Duration::from_millis(120), "{:?}", paused.elapsed());
            assert_eq!((delivery.attempts(), delivery.deliveries()), (failures, Some(2 * failures + 1)));
            delivery.release().await.unwrap();
            let delivery = one(&mut subscription).await;
            assert_eq!(delivery.attempts(), failures, "a release is no failure");
            paused = Instant::now();
            delivery.retry(Duration::from_millis(120)).await.unwrap();
        }
        one(&mut subscription).await.ack().await.unwrap();
        subscription.unsubscribe().await.unwrap();
    }
}

#[tokio::test]
async fn many_refusals_by_three_members_lose_nothing() {
    let broker = connected().await;
    let topic = topic("many.refusals");
    publish(&broker, &topic, texts(0..50)).await;
    let mut members = Vec::new();
    for _ in 0..3 {
        let mut subscription = broker.subscribe(&topic, of("q")).await.unwrap();
        members.push(tokio::spawn(async move {
            let mut refused = 0;
            while refused < 100 {
                for delivery in next(&mut subscription, 10).await {
                    refused += 1;
                    delivery.retry(Duration::from_millis(1)).await.unwrap();
                }
            }
        }));
    }
    for member in members {
        member.await.unwrap();
    }
    let mut subscription = broker.subscribe(&topic, of("q")).await.unwrap();
    let mut bodies = drain(&mut subscription, 50).await;
    bodies.sort_by_key(|body| body.parse::<u32>().unwrap());
    assert_eq!(bodies, texts(0..50));
}

#[tokio::test]
async fn rejected_never_comes_back() {
    let broker = connected().await;
    let topic = topic("rejected.gone");
    let mut subscription = broker.subscribe(&topic, of("q")).await.unwrap();
    publish(&broker, &topic, ["1"]).await;
    one(&mut subscription).await.reject(Reason::Decode).await.unwrap();
    silent(&mut subscription).await;
}

#[tokio::test]
async fn dropped_unsettled_comes_back_at_once_and_is_no_failure() {
    let broker = connected().await;
    let topic = topic("dropped.back");
    let mut subscription = broker.subscribe(&topic, SubscribeOptions::new()).await.unwrap();
    publish(&broker, &topic, ["1"]).await;
    drop(one(&mut subscription).await);
    let again = one(&mut subscription).await;
    assert_eq!((text(&again).as_str(), again.attempts(), again.deliveries()), ("1", 0, Some(2)));
}

#[tokio::test]
async fn settling_out_of_order_loses_none() {
    let broker = connected().await;
    let topic = topic("out.of.order");
    let mut subscription = broker.subscribe(&topic, of("q")).await.unwrap();
    publish(&broker, &topic, ["1", "2", "3"]).await;
    let mut held = hold(&mut subscription, 3).await;
    held.pop().unwrap().ack().await.unwrap();
    drop(held);
    assert_eq!(drain(&mut subscription, 2).await, ["1", "2"]);
    silent(&mut subscription).await;
}

#[tokio::test]
async fn settling_twice_is_a_conflict_and_changes_nothing() {
    let broker = connected().await;
    let topic = topic("twice.settled");
    let mut subscription = broker.subscribe(&topic, of("q")).await.unwrap();
    publish(&broker, &topic, ["1", "2"]).await;
    let parts = one(&mut subscription).await.into_parts();
    let settle = |answer| parts.origin.settler.settle(vec![Settlement::new(parts.token, answer, 0)]).first();
    settle(Settle::Ack).await.unwrap();
    // Its slot is in use again: the old token must not reach the new delivery.
    let second = one(&mut subscription).await;
    assert_eq!(settle(Settle::Release).await.unwrap_err().kind(), Kind::Conflict);
    second.ack().await.unwrap();
    silent(&mut subscription).await;
}

#[tokio::test]
async fn a_lease_that_ends_gives_the_message_to_another_member() {
    let broker = connected().await;
    let topic = topic("lease.ends");
    let lease = Duration::from_millis(200);
    let mut hung = broker.subscribe(&topic, of("q").lease(lease)).await.unwrap();
    let mut other = broker.subscribe(&topic, of("q")).await.unwrap();
    // The other waits already when the lease begins, so that it has to be told about the clock.
    let waiting = tokio::spawn(async move {
        let first = one(&mut other).await;
        let second = one(&mut other).await;
        (first, second)
    });
    publish(&broker, &topic, ["1"]).await;
    publish(&broker, &topic, ["2"]).await;
    let held = one(&mut hung).await;
    let (first, second) = tokio::time::timeout(LIMIT, waiting).await.unwrap().unwrap();
    assert_eq!(text(&second), text(&held));
    assert_eq!(second.deliveries(), Some(2));
    assert_eq!(held.ack().await.unwrap_err().kind(), Kind::Conflict, "the lease went to another");
    first.ack().await.unwrap();
    second.ack().await.unwrap();
}

#[tokio::test]
async fn without_leases_a_member_holds_what_it_has_for_as_long_as_it_lives() {
    let broker = micro_core::broker::Memory::new().restrict(|capability| capability.lease = false);
    broker.connect().await.unwrap();
    let topic = topic("lease.none");
    let mut a = broker.subscribe(&topic, of("q").lease(Duration::from_millis(100))).await.unwrap();
    let mut b = broker.subscribe(&topic, of("q").lease(Duration::from_millis(100))).await.unwrap();
    publish(&broker, &topic, ["1"]).await;
    let held = one(&mut a).await;
    assert!(tokio::time::timeout(Duration::from_millis(400), b.next(1)).await.is_err(), "it is still held");
    held.ack().await.unwrap();
    silent(&mut b).await;
}

#[tokio::test]
async fn a_lease_that_is_extended_holds() {
    let broker = connected().await;
    let topic = topic("lease.extended");
    let mut a = broker.subscribe(&topic, of("q").lease(Duration::from_millis(400))).await.unwrap();
    publish(&broker, &topic, ["1"]).await;
    let parts = one(&mut a).await.into_parts();
    let mut b = broker.subscribe(&topic, of("q")).await.unwrap();
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(1_200) {
        parts.origin.settler.extend(&[parts.token]);
        assert!(tokio::time::timeout(Duration::from_millis(50), b.next(1)).await.is_err(), "it is still held");
    }
    parts.origin.settler.settle(vec![Settlement::new(parts.token, Settle::Ack, 0)]).first().await.unwrap();
    silent(&mut b).await;
}

#[tokio::test]
async fn answers_come_in_batches_one_result_each() {
    let broker = connected().await;
    let topic = topic("batch.answers");
    let mut subscription = broker.subscribe(&topic, of("q")).await.unwrap();
    publish(&broker, &topic, texts(0..3)).await;
    let held: Vec<_> = hold(&mut subscription, 3).await.into_iter().map(|d| d.into_parts()).collect();
    let mut answers: Vec<_> = held.iter().map(|parts| Settlement::new(parts.token, Settle::Ack, 0)).collect();
    answers[1].settle = Settle::Retry(Duration::ZERO);
    answers.push(answers[0].clone());
    let results = held[0].origin.settler.settle(answers).await;
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, true, false]);
    assert_eq!(drain(&mut subscription, 1).await, ["1"], "only the failed entry comes back");
    broker.publish(&topic, vec![Message::new("4")]).all().await.unwrap();
}
