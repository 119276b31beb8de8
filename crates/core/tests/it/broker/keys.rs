use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use micro_core::broker::{Broker, Memory, Message, SubscribeOptions, Topic};

use super::support::*;

async fn publish_keyed(broker: &Memory, topic: &Topic, pairs: &[(&str, &str)]) {
    let messages = pairs.iter().map(|(key, body)| Message::new(body.to_string()).key(key.to_string())).collect();
    broker.publish(topic, messages).all().await.unwrap();
}

#[tokio::test]
async fn one_consumer_gets_a_thousand_in_order() {
    let broker = connected().await;
    let topic = topic("thousand.in.order");
    let mut subscription = broker.subscribe(&topic, SubscribeOptions::new()).await.unwrap();
    for start in (0..1_000).step_by(10) {
        publish(&broker, &topic, texts(start..start + 10)).await;
    }
    assert_eq!(drain(&mut subscription, 1_000).await, texts(0..1_000));
}

// features: E5
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_holds_within_a_key_over_ten_members_that_also_fail_and_leave() {
    let broker = connected().await;
    let topic = topic("order.ten.members");
    let seen: Arc<Mutex<HashMap<String, Vec<u32>>>> = Arc::default();
    let mut members = Vec::new();
    for member in 0..10 {
        let (broker, topic, seen) = (broker.clone(), topic.clone(), Arc::clone(&seen));
        members.push(tokio::spawn(async move {
            let mut subscription = broker.subscribe(&topic, of("q")).await.unwrap();
            let mut round = 0;
            while let Ok(Some(deliveries)) = subscription.next(8).await {
                round += 1;
                // A batch that is given back whole keeps its order for the next one who gets it.
                if (round + member) % 5 == 0 {
                    continue;
                }
                for delivery in deliveries {
                    let key = String::from_utf8(delivery.key().unwrap().to_vec()).unwrap();
                    seen.lock().unwrap().entry(key).or_default().push(text(&delivery).parse().unwrap());
                    tokio::task::yield_now().await;
                    delivery.ack().await.unwrap();
                }
                if round % 20 == 0 {
                    subscription = broker.subscribe(&topic, of("q")).await.unwrap();
                }
            }
        }));
    }
    for number in 0..200u32 {
        let batch = (0..16).map(|key| Message::new(number.to_string()).key(format!("key-{key}"))).collect();
        broker.publish(&topic, batch).all().await.unwrap();
    }
    tokio::time::timeout(LIMIT, async {
        while seen.lock().unwrap().values().map(Vec::len).sum::<usize>() < 16 * 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("all must come");
    for (key, numbers) in seen.lock().unwrap().iter() {
        assert_eq!(*numbers, (0..200).collect::<Vec<_>>(), "{key}");
    }
    members.iter().for_each(|member| member.abort());
}

#[tokio::test]
async fn a_key_in_flight_with_one_member_is_not_given_to_another() {
    let broker = connected().await;
    let topic = topic("key.in.flight");
    let mut a = broker.subscribe(&topic, of("q")).await.unwrap();
    let mut b = broker.subscribe(&topic, of("q")).await.unwrap();
    publish_keyed(&broker, &topic, &[("k", "1")]).await;
    let held = one(&mut a).await;
    publish_keyed(&broker, &topic, &[("k", "2"), ("other", "3"), ("k", "4")]).await;
    assert_eq!(drain(&mut b, 1).await, ["3"], "another key does not wait");
    silent(&mut b).await;
    held.ack().await.unwrap();
    assert_eq!(drain(&mut b, 2).await, ["2", "4"]);
}

#[tokio::test]
async fn a_slow_key_stops_no_other_however_far_it_is_behind() {
    let broker = connected().await;
    let topic = topic("slow.key");
    let mut a = broker.subscribe(&topic, of("q")).await.unwrap();
    publish_keyed(&broker, &topic, &[("slow", "first")]).await;
    let held = one(&mut a).await;
    let mut b = broker.subscribe(&topic, of("q")).await.unwrap();
    drop(a);
    for number in 0..1_000 {
        let (slow, fast) = (format!("s{number}"), format!("f{number}"));
        publish_keyed(&broker, &topic, &[("slow", &slow), ("fast", &fast)]).await;
    }
    let fast: Vec<_> = (0..1_000).map(|number| format!("f{number}")).collect();
    assert_eq!(drain(&mut b, 1_000).await, fast);
    held.ack().await.unwrap();
    let slow: Vec<_> = (0..1_000).map(|number| format!("s{number}")).collect();
    assert_eq!(drain(&mut b, 1_000).await, slow);
}

#[tokio::test]
async fn in_strict_order_later_ones_of_a_key_wait_for_the_failed_one() {
    let broker = connected().await;
    let topic = topic("strict.order");
    let mut subscription = broker.subscribe(&topic, of("q").ordered()).await.unwrap();
    publish_keyed(&broker, &topic, &[("k", "1")]).await;
    one(&mut subscription).await.retry(Duration::from_millis(150)).await.unwrap();
    publish_keyed(&broker, &topic, &[("k", "2"), ("other", "3"), ("k", "4")]).await;
    assert_eq!(drain(&mut subscription, 4).await, ["3", "1", "2", "4"]);
}

#[tokio::test]
async fn in_loose_order_later_ones_of_a_key_go_on() {
    let broker = connected().await;
    let topic = topic("loose.order");
    let mut subscription = broker.subscribe(&topic, of("q")).await.unwrap();
    publish_keyed(&broker, &topic, &[("k", "1")]).await;
    one(&mut subscription).await.retry(Duration::from_millis(150)).await.unwrap();
    publish_keyed(&broker, &topic, &[("k", "2"), ("k", "3")]).await;
    assert_eq!(drain(&mut subscription, 3).await, ["2", "3", "1"]);
}

#[tokio::test]
async fn two_failed_ones_of_a_key_keep_their_order_in_strict_order() {
    let broker = connected().await;
    let topic = topic("strict.two");
    let mut subscription = broker.subscribe(&topic, of("q").ordered()).await.unwrap();
    publish_keyed(&broker, &topic, &[("k", "1"), ("k", "2"), ("k", "3")]).await;
    let mut held = hold(&mut subscription, 2).await.into_iter();
    held.next().unwrap().retry(Duration::from_millis(200)).await.unwrap();
    held.next().unwrap().retry(Duration::from_millis(20)).await.unwrap();
    assert_eq!(drain(&mut subscription, 3).await, ["1", "2", "3"]);
}

#[tokio::test]
async fn a_key_lies_always_in_the_same_partition() {
    let broker = connected().await;
    let topic = topic("same.partition");
    let messages = (0..20).map(|_| Message::new("x").key("order-7")).collect();
    let receipts = broker.publish(&topic, messages).all().await.unwrap();
    let partitions: std::collections::BTreeSet<_> = receipts
        .iter()
        .map(|receipt| match receipt.position {
            Some(micro_core::broker::Position::Offset { partition, .. }) => partition,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(partitions.len(), 1);
}
