use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use micro_core::broker::{Broker, Message, SubscribeOptions, Subscription, Topic};
use tokio::task::JoinHandle;

use crate::world::{
    LIMIT, address, broker, broker_at, handle, member, nothing, queue, take, text, texts, topic, until, within,
};

/// What members took, by who took it, in the order in which it was taken.
type Taken = Arc<Mutex<Vec<(usize, String)>>>;

/// A member that acknowledges what it takes until it is told to stop.
fn work(name: usize, mut subscription: Box<dyn Subscription>, taken: &Taken, stop: &Arc<AtomicBool>) -> JoinHandle<()> {
    let (taken, stop) = (Arc::clone(taken), Arc::clone(stop));
    tokio::spawn(async move {
        while !stop.load(Ordering::Acquire) {
            let Ok(more) = tokio::time::timeout(Duration::from_millis(50), subscription.next(64)).await else {
                continue;
            };
            for delivery in more.unwrap().unwrap() {
                taken.lock().unwrap().push((name, text(&delivery)));
                delivery.ack().await.unwrap();
            }
        }
        within("unsubscribe", subscription.unsubscribe()).await.unwrap();
    })
}

fn distinct(taken: &Taken) -> usize {
    taken.lock().unwrap().iter().map(|(_, body)| body.clone()).collect::<BTreeSet<_>>().len()
}

// features: D14, D4
#[tokio::test]
async fn two_queues_have_everything_and_so_has_everyone_without_one() {
    let broker = broker().await;
    let topic = topic("queues");
    let mut queued = Vec::new();
    for name in ["a", "b"] {
        queued.push(broker.subscribe(&topic, member(&queue(name))).await.unwrap());
    }
    queued.push(broker.subscribe(&topic, SubscribeOptions::new()).await.unwrap());
    queued.push(broker.subscribe(&topic, SubscribeOptions::new()).await.unwrap());
    within("receipts", broker.publish(&topic, texts("m", 50)).all()).await.unwrap();
    let expected: BTreeSet<_> = (0..50).map(|i| format!("m{i}")).collect();
    for subscription in &mut queued {
        let bodies = handle(&mut **subscription, 50).await;
        assert_eq!(bodies.into_iter().collect::<BTreeSet<_>>(), expected);
        nothing(&mut **subscription).await;
    }
    broker.disconnect().await.unwrap();
}

// features: D5
#[tokio::test]
async fn members_join_and_leave_and_each_message_is_handled_once() {
    let (topic, queue) = (topic("join"), queue("q"));
    let brokers = [broker().await, broker().await, broker().await];
    let taken = Taken::default();
    let publisher = &brokers[0];
    let mut sent = 0;
    let mut publish = async |count: usize| {
        for _ in 0..count {
            within("receipt", publisher.publish(&topic, texts(&format!("{sent}-"), 1)).first()).await.unwrap();
            sent += 1;
        }
        sent
    };
    let share = |taken: &Taken, name| taken.lock().unwrap().iter().filter(|(who, _)| *who == name).count();

    let stops: Vec<_> = (0..3).map(|_| Arc::new(AtomicBool::new(false))).collect();
    let mut workers = Vec::new();
    for name in 0..3 {
        let subscription = within("subscription", brokers[name].subscribe(&topic, member(&queue))).await.unwrap();
        workers.push(work(name, subscription, &taken, &stops[name]));
        let before = share(&taken, name);
        let began = std::time::Instant::now();
        let mut all = publish(20).await;
        // Sooner or later the new one has its share.
        while share(&taken, name) < before + 5 {
            assert!(began.elapsed() < LIMIT, "member {name} gets nothing");
            all = publish(10).await;
        }
        until("all handled", || distinct(&taken) == all).await;
    }
    for name in [0, 1] {
        stops[name].store(true, Ordering::Release);
        let all = publish(30).await;
        until("all handled", || distinct(&taken) == all).await;
    }
    stops[2].store(true, Ordering::Release);
    for worker in workers {
        within("end of a member", worker).await.unwrap();
    }
    let all = taken.lock().unwrap().len();
    assert_eq!(all, distinct(&taken), "something was handled twice");
    for broker in brokers {
        broker.disconnect().await.unwrap();
    }
}

// features: D15
#[tokio::test]
async fn a_queue_gets_what_was_published_before_it_was_there_and_while_it_was_away() {
    let broker = broker().await;
    let (topic, queue) = (topic("away"), queue("q"));
    within("receipts", broker.publish(&topic, texts("before", 3)).all()).await.unwrap();
    let mut one = broker.subscribe(&topic, member(&queue)).await.unwrap();
    assert_eq!(handle(&mut *one, 3).await.len(), 3);
    within("unsubscribe", one.unsubscribe()).await.unwrap();
    within("receipts", broker.publish(&topic, texts("away", 3)).all()).await.unwrap();
    let mut two = broker.subscribe(&topic, member(&queue)).await.unwrap();
    assert!(handle(&mut *two, 3).await.iter().all(|body| body.starts_with("away")));
    nothing(&mut *two).await;
    broker.disconnect().await.unwrap();
}

#[tokio::test]
async fn one_name_on_two_topics_is_two_queues() {
    let broker = broker().await;
    let (here, there, queue) = (topic("here"), topic("there"), queue("q"));
    let mut one = broker.subscribe(&here, member(&queue)).await.unwrap();
    let mut two = broker.subscribe(&there, member(&queue)).await.unwrap();
    within("receipts", broker.publish(&here, texts("h", 5)).all()).await.unwrap();
    within("receipts", broker.publish(&there, texts("t", 5)).all()).await.unwrap();
    assert!(handle(&mut *one, 5).await.iter().all(|body| body.starts_with('h')));
    assert!(handle(&mut *two, 5).await.iter().all(|body| body.starts_with('t')));
    nothing(&mut *one).await;
    nothing(&mut *two).await;
    broker.disconnect().await.unwrap();
}

/// Publishes by key, numbered within each.
async fn publish_keys(broker: &dyn Broker, topic: &Topic, keys: usize, each: usize) {
    let mut messages = Vec::new();
    for number in 0..each {
        for key in 0..keys {
            messages.push(Message::new(format!("{key}:{number}")).key(format!("k{key}")));
        }
    }
    within("receipts", broker.publish(topic, messages).all()).await.unwrap();
}

#[tokio::test]
async fn the_order_of_a_key_holds_while_members_come_and_go() {
    let (topic, queue) = (topic("order"), queue("q"));
    let publisher = broker().await;
    let taken = Taken::default();
    let stops: Vec<_> = (0..4).map(|_| Arc::new(AtomicBool::new(false))).collect();
    let mut workers = Vec::new();
    let mut brokers = Vec::new();
    for name in 0..4 {
        let broker = broker_at(&address("&partitions=4")).await;
        publish_keys(&publisher, &topic, 8, 25).await;
        let subscription = within("subscription", broker.subscribe(&topic, member(&queue).ordered())).await.unwrap();
        workers.push(work(name, subscription, &taken, &stops[name]));
        brokers.push(broker);
        if name > 1 {
            stops[name - 2].store(true, Ordering::Release);
        }
        // Numbered anew: the rounds are apart.
        until("a round", || distinct(&taken) == 200).await;
        let mut last: HashMap<String, usize> = HashMap::new();
        for (_, body) in std::mem::take(&mut *taken.lock().unwrap()) {
            let (key, number) = body.split_once(':').unwrap();
            let number: usize = number.parse().unwrap();
            let before = last.insert(key.to_owned(), number);
            assert!(before.is_none_or(|before| before < number), "key {key}: {number} after {before:?}");
        }
    }
    stops.iter().for_each(|stop| stop.store(true, Ordering::Release));
    for worker in workers {
        within("end of a member", worker).await.unwrap();
    }
    for broker in brokers {
        broker.disconnect().await.unwrap();
    }
    publisher.disconnect().await.unwrap();
}

#[tokio::test]
async fn what_a_member_holds_is_settled_before_its_partition_goes_to_another() {
    let (topic, queue) = (topic("drain"), queue("q"));
    let (first, second) = (broker().await, broker().await);
    let mut one = first.subscribe(&topic, member(&queue)).await.unwrap();
    let messages = (0..4).flat_map(|p| (0..5).map(move |i| Message::new(format!("{p}-{i}")).partition(p))).collect();
    within("receipts", first.publish(&topic, messages).all()).await.unwrap();
    let held = take(&mut *one, 20).await;
    // The second joins while the first has everything in its hands, and gets nothing of it.
    let mut two = within("subscription", second.subscribe(&topic, member(&queue))).await.unwrap();
    nothing(&mut *two).await;
    for delivery in held {
        within("ack", delivery.ack()).await.unwrap();
    }
    let messages = (0..4).map(|p| Message::new(format!("new{p}")).partition(p)).collect();
    within("receipts", second.publish(&topic, messages).all()).await.unwrap();
    let mut bodies = handle(&mut *two, 2).await;
    bodies.extend(handle(&mut *one, 2).await);
    assert!(bodies.iter().all(|body| body.starts_with("new")), "{bodies:?}");
    nothing(&mut *one).await;
    nothing(&mut *two).await;
    first.disconnect().await.unwrap();
    second.disconnect().await.unwrap();
}

#[tokio::test]
async fn an_idle_subscription_says_that_it_is_live_although_it_has_no_partition() {
    let (topic, queue) = (topic("empty"), queue("q"));
    let first = broker_at(&address("&partitions=1")).await;
    let mut one = first.subscribe(&topic, member(&queue)).await.unwrap();
    let mut two = within("subscription", first.subscribe(&topic, member(&queue))).await.unwrap();
    within("receipts", first.publish(&topic, texts("m", 5)).all()).await.unwrap();
    let mut bodies = Vec::new();
    while bodies.len() < 5 {
        tokio::select! {
            more = one.next(5) => for d in more.unwrap().unwrap() { bodies.push(text(&d)); d.ack().await.unwrap(); },
            more = two.next(5) => for d in more.unwrap().unwrap() { bodies.push(text(&d)); d.ack().await.unwrap(); },
            () = tokio::time::sleep(LIMIT) => panic!("only {bodies:?}"),
        }
    }
    first.disconnect().await.unwrap();
}
