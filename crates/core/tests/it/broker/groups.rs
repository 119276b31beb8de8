use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use micro_core::broker::{Broker, Subscription};
use tokio::task::JoinHandle;

use super::support::*;

/// Who got what.
#[derive(Clone, Default)]
struct Tally(Arc<Mutex<BTreeMap<String, Vec<String>>>>);

impl Tally {
    fn count(&self) -> usize {
        self.0.lock().unwrap().values().map(Vec::len).sum()
    }

    fn of(&self, member: &str) -> usize {
        self.0.lock().unwrap().get(member).map_or(0, Vec::len)
    }

    fn distinct(&self) -> usize {
        self.0.lock().unwrap().values().flatten().collect::<BTreeSet<_>>().len()
    }

    async fn reach(&self, count: usize) {
        tokio::time::timeout(LIMIT, async {
            while self.count() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("{} of {count} came", self.count()));
    }

    fn work(&self, member: &str, mut subscription: Box<dyn Subscription>) -> JoinHandle<()> {
        let (tally, member) = (self.clone(), member.to_owned());
        tokio::spawn(async move {
            while let Some(deliveries) = subscription.next(4).await.unwrap() {
                for delivery in deliveries {
                    tally.0.lock().unwrap().entry(member.clone()).or_default().push(text(&delivery));
                    delivery.ack().await.unwrap();
                }
            }
        })
    }
}

// features: D4, E2
#[tokio::test]
async fn members_share_and_none_gets_what_another_got() {
    let broker = connected().await;
    let topic = topic("members.share");
    let tally = Tally::default();
    let a = tally.work("a", broker.subscribe(&topic, of("q")).await.unwrap());
    let b = tally.work("b", broker.subscribe(&topic, of("q")).await.unwrap());
    for body in texts(0..100) {
        publish(&broker, &topic, [body]).await;
    }
    tally.reach(100).await;
    assert_eq!((tally.count(), tally.distinct()), (100, 100));
    assert!(tally.of("a") >= 10 && tally.of("b") >= 10, "{} {}", tally.of("a"), tally.of("b"));
    broker.disconnect().await.unwrap();
    a.await.unwrap();
    b.await.unwrap();
}

#[tokio::test]
async fn two_queues_get_all_each() {
    let broker = connected().await;
    let topic = topic("two.queues");
    let mut a = broker.subscribe(&topic, of("a")).await.unwrap();
    let mut b = broker.subscribe(&topic, of("b")).await.unwrap();
    publish(&broker, &topic, texts(0..50)).await;
    assert_eq!(drain(&mut a, 50).await, texts(0..50));
    assert_eq!(drain(&mut b, 50).await, texts(0..50));
}

// features: D5
#[tokio::test]
async fn the_share_moves_when_a_member_joins_and_when_one_leaves() {
    let broker = connected().await;
    let topic = topic("share.moves");
    let tally = Tally::default();
    let a = broker.clone();
    tally.work("a", a.subscribe(&topic, of("q")).await.unwrap());
    publish(&broker, &topic, texts(0..50)).await;
    tally.reach(50).await;
    tally.work("b", broker.subscribe(&topic, of("q")).await.unwrap());
    for body in texts(50..100) {
        publish(&broker, &topic, [body]).await;
    }
    tally.reach(100).await;
    assert!(tally.of("b") >= 10, "{}", tally.of("b"));
    a.disconnect().await.unwrap();
    publish(&broker, &topic, texts(100..150)).await;
    tally.reach(150).await;
    assert_eq!((tally.count(), tally.distinct()), (150, 150), "a polite leave doubles nothing");
}

#[tokio::test]
async fn what_a_dead_member_held_goes_to_another_at_once() {
    let broker = connected().await;
    let dying = broker.clone();
    let topic = topic("member.dies");
    let mut dead = dying.subscribe(&topic, of("q")).await.unwrap();
    publish(&broker, &topic, texts(0..20)).await;
    let held = hold(&mut dead, 20).await;
    let mut alive = broker.subscribe(&topic, of("q")).await.unwrap();
    silent(&mut alive).await;
    dying.disconnect().await.unwrap();
    assert_eq!(drain(&mut alive, 20).await, texts(0..20));
    assert_eq!(held.into_iter().next().unwrap().ack().await.unwrap_err().kind(), micro_core::Kind::Closed);
    silent(&mut alive).await;
}

#[tokio::test]
async fn an_aborted_task_gives_its_message_to_another_member() {
    let broker = connected().await;
    let topic = topic("task.aborted");
    let mut doomed = broker.subscribe(&topic, of("q")).await.unwrap();
    publish(&broker, &topic, ["1"]).await;
    let (held, taken) = tokio::sync::oneshot::channel();
    let task = tokio::spawn(async move {
        let delivery = one(&mut doomed).await;
        held.send(()).unwrap();
        std::future::pending::<()>().await;
        drop(delivery);
    });
    taken.await.unwrap();
    task.abort();
    let mut other = broker.subscribe(&topic, of("q")).await.unwrap();
    assert_eq!(drain(&mut other, 1).await, ["1"]);
}

// features: D7
#[tokio::test]
async fn a_queue_gets_what_was_published_while_it_was_away() {
    let broker = connected().await;
    let topic = topic("queue.away");
    publish(&broker, &topic, ["before the first start"]).await;
    let mut subscription = broker.subscribe(&topic, of("q")).await.unwrap();
    assert_eq!(drain(&mut subscription, 1).await, ["before the first start"]);
    drop(subscription);
    publish(&broker, &topic, texts(0..50)).await;
    let mut again = broker.subscribe(&topic, of("q")).await.unwrap();
    assert_eq!(drain(&mut again, 50).await, texts(0..50));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_members_get_five_thousand_messages_once() {
    let broker = connected().await;
    let topic = topic("fifty.members");
    let tally = Tally::default();
    for member in 0..50 {
        tally.work(&member.to_string(), broker.subscribe(&topic, of("q")).await.unwrap());
    }
    for start in (0..5_000).step_by(100) {
        publish(&broker, &topic, texts(start..start + 100)).await;
    }
    tally.reach(5_000).await;
    assert_eq!((tally.count(), tally.distinct()), (5_000, 5_000));
    broker.disconnect().await.unwrap();
}

#[tokio::test]
async fn leaving_and_joining_twenty_times_loses_nothing() {
    let broker = connected().await;
    let topic = topic("leave.join");
    let publisher = broker.clone();
    let to = topic.clone();
    let publishing = tokio::spawn(async move {
        for body in texts(0..400) {
            publish(&publisher, &to, [body]).await;
            tokio::task::yield_now().await;
        }
    });
    let mut seen = BTreeSet::new();
    for round in 0..20 {
        let mut subscription = broker.subscribe(&topic, of("q")).await.unwrap();
        for delivery in next(&mut subscription, 7).await.into_iter().skip(round % 2) {
            seen.insert(text(&delivery));
            delivery.ack().await.unwrap();
        }
    }
    publishing.await.unwrap();
    let mut subscription = broker.subscribe(&topic, of("q")).await.unwrap();
    seen.extend(drain(&mut subscription, 400 - seen.len()).await);
    assert_eq!(seen.len(), 400);
    silent(&mut subscription).await;
}
