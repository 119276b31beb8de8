use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use micro_core::broker::{Broker, Delivery, Memory, Message, Subscription};

use super::support::*;

const KEYS: usize = 4;
const MESSAGES: usize = 60;

/// A member as a process of its own: its client can be cut off with what it holds.
struct Member {
    client: Memory,
    subscription: Box<dyn Subscription>,
    held: Vec<Delivery>,
}

/// What the members of one queue did.
struct Run {
    random: fastrand::Rng,
    broker: Memory,
    name: String,
    members: Vec<Member>,
    done: BTreeMap<String, Vec<usize>>,
    unpublished: usize,
}

impl Run {
    async fn new(seed: u64) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
            broker: connected().await,
            name: format!("random.{seed}"),
            members: Vec::new(),
            done: BTreeMap::new(),
            unpublished: MESSAGES,
        }
    }

    async fn join(&mut self) {
        let client = self.broker.clone();
        let options = of("q").ordered().in_flight(1 + self.random.usize(..6));
        let subscription = client.subscribe(&topic(&self.name), options).await.unwrap();
        self.members.push(Member { client, subscription, held: Vec::new() });
    }

    async fn publish(&mut self) {
        let count = self.random.usize(1..=5).min(self.unpublished);
        let first = MESSAGES - self.unpublished;
        let batch = (first..first + count).map(|i| Message::new(i.to_string()).key(format!("key-{}", i % KEYS)));
        self.broker.publish(&topic(&self.name), batch.collect()).all().await.unwrap();
        self.unpublished -= count;
    }

    async fn pull(&mut self, member: usize) {
        let max = self.random.usize(1..8);
        let member = &mut self.members[member];
        if let Ok(more) = tokio::time::timeout(Duration::from_millis(2), member.subscription.next(max)).await {
            member.held.extend(more.unwrap().unwrap());
        }
        self.check_keys();
    }

    /// No key is with two members at once.
    fn check_keys(&self) {
        let mut holders: BTreeMap<&[u8], BTreeSet<usize>> = BTreeMap::new();
        for (index, member) in self.members.iter().enumerate() {
            for delivery in &member.held {
                holders.entry(delivery.key().unwrap()).or_default().insert(index);
            }
        }
        assert!(holders.values().all(|members| members.len() == 1), "{holders:?}");
    }

    /// Answers the oldest delivery a member has; with anything but done, all of its key go back, as a lane would do.
    async fn answer(&mut self, member: usize) {
        let member = &mut self.members[member];
        if member.held.is_empty() {
            return;
        }
        let delivery = member.held.remove(0);
        let key = delivery.key().unwrap().clone();
        if self.random.u8(..) < 160 {
            let key = String::from_utf8(key.to_vec()).unwrap();
            self.done.entry(key).or_default().push(text(&delivery).parse().unwrap());
            return delivery.ack().await.unwrap();
        }
        match self.random.u8(..3) {
            0 => delivery.release().await.unwrap(),
            1 => delivery.retry(Duration::from_millis(self.random.u64(..3))).await.unwrap(),
            _ => drop(delivery),
        }
        member.held.retain(|other| other.key() != Some(&key));
    }

    async fn step(&mut self) {
        let member = self.random.usize(..self.members.len().max(1));
        match self.random.u8(..20) {
            _ if self.members.is_empty() => self.join().await,
            0 => self.join().await,
            1 => drop(self.members.swap_remove(member)),
            2 => self.members.swap_remove(member).client.disconnect().await.unwrap(),
            3..=6 if self.unpublished > 0 => self.publish().await,
            3..=11 => self.pull(member).await,
            _ => self.answer(member).await,
        }
    }
}

#[tokio::test]
async fn whatever_the_members_do_nothing_is_lost_and_a_key_keeps_its_order() {
    for seed in 0..40 {
        let mut run = Run::new(seed).await;
        let finished = async {
            while run.done.values().map(Vec::len).sum::<usize>() < MESSAGES {
                run.step().await;
            }
        };
        tokio::time::timeout(LIMIT, finished).await.unwrap_or_else(|_| panic!("seed {seed} does not come to an end"));
        for (key, numbers) in &run.done {
            assert!(numbers.is_sorted_by(|a, b| a < b), "seed {seed}, {key}: {numbers:?}");
        }
    }
}
