//! Chances for B92 and B96: what is done at random, and the seed that does it again.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fastrand::Rng;
use futures_util::future::{Either, join_all, select};
use micro_core::broker::{Broker, Message, Queue, Settle, Settlement, Start, SubscribeOptions, Subscription, Topic};
use micro_core::{Error, Kind};

use super::Stage;
use super::outage::acknowledge_unwaited;
use super::stage::{number, numbered};
use crate::Failed;
use crate::failed::ensure;
use crate::seed::{seed, with_seed};

/// How many interleavings there are, and how many run at once.
const ROUNDS: usize = 200;
const AT_ONCE: usize = 16;

/// One thing that an actor does.
#[derive(Debug, Clone, Copy)]
enum Step {
    Subscribe { to_queue: bool },
    Publish(usize),
    Next { yields: usize },
    Stop,
    Unsubscribe,
    Drop,
    Close,
}

impl Step {
    fn random(chance: &mut Rng, queues: bool) -> Self {
        match chance.u8(..16) {
            0..4 => Self::Subscribe { to_queue: queues && chance.u8(..4) == 0 },
            4..8 => Self::Publish(chance.usize(1..=5)),
            8..11 => Self::Next { yields: chance.usize(..50) },
            11 => Self::Stop,
            12 => Self::Unsubscribe,
            13 => Self::Drop,
            _ => Self::Close,
        }
    }
}

/// What each of the three actors of a round does, with the pauses before each step.
fn plan(chance: &mut Rng, queues: bool) -> Vec<Vec<(usize, Step)>> {
    let steps = |chance: &mut Rng| {
        (0..chance.usize(2..=5)).map(|_| (chance.usize(..20), Step::random(chance, queues))).collect()
    };
    (0..3).map(|_| steps(chance)).collect()
}

/// Where a round is played.
#[derive(Clone)]
struct Round {
    stage: Stage,
    broker: Arc<dyn Broker>,
    topic: Topic,
    queue: Queue,
    /// The numbers of the messages: the next one, and those that are confirmed.
    book: Arc<Mutex<(usize, BTreeSet<usize>)>>,
}

pub(super) async fn subscribing_and_leaving_in_a_hurry_never_hangs(stage: Stage) -> Result<(), Failed> {
    let seed = seed()?;
    let lanes = (0..AT_ONCE).map(|lane| rounds(stage.clone(), seed, lane));
    for outcome in join_all(lanes.map(tokio::spawn)).await {
        outcome.map_err(|error| Failed::new(format!("it panicked: {error}; MICRO_CONFORMANCE_SEED={seed}")))??;
    }
    Ok(())
}

/// Plays every round of a lane, and then looks whether everything works and what was confirmed is there.
async fn rounds(stage: Stage, seed: u64, lane: usize) -> Result<(), Failed> {
    let topic = stage.topic(&format!("lane{lane}"));
    let book = Arc::<Mutex<(usize, BTreeSet<usize>)>>::default();
    let queues = stage.capability().queues;
    // Stays from the first to the last: what is not persistent lives as long as somebody is there.
    let keeper = stage.client().await?;
    for number in (lane..ROUNDS).step_by(AT_ONCE) {
        let mut chance = Rng::with_seed(seed.wrapping_add(number as u64));
        let queue = stage.queue(&format!("q{number}"));
        let told = |failed: Failed| with_seed(seed, &format!("round {number}"), &failed);
        let broker = stage.client().await.map_err(told)?;
        let round = Round { stage: stage.clone(), broker, topic: topic.clone(), queue, book: Arc::clone(&book) };
        let actors = plan(&mut chance, queues).into_iter().map(|steps| tokio::spawn(act(round.clone(), steps)));
        for outcome in join_all(actors).await {
            let outcome = outcome.map_err(|error| told(Failed::new(format!("it panicked: {error}"))))?;
            outcome.map_err(told)?;
        }
        let ended = stage.present("the last disconnect", round.broker.disconnect()).await.map_err(told)?;
        ended.map_err(|error| told(error.into()))?;
    }
    let confirmed = std::mem::take(&mut book.lock().unwrap_or_else(PoisonError::into_inner).1);
    all_there(&stage, &keeper, &topic, confirmed)
        .await
        .map_err(|failed| with_seed(seed, &format!("lane {lane}"), &failed))
}

async fn act(round: Round, steps: Vec<(usize, Step)>) -> Result<(), Failed> {
    let mut subscription = None;
    for (pause, step) in steps {
        for _ in 0..pause {
            tokio::task::yield_now().await;
        }
        round.take(step, &mut subscription).await?;
    }
    Ok(())
}

impl Round {
    async fn take(&self, step: Step, subscription: &mut Option<Box<dyn Subscription>>) -> Result<(), Failed> {
        let stage = &self.stage;
        match step {
            Step::Subscribe { to_queue } => {
                let options = SubscribeOptions::new();
                let options = if to_queue { options.queue(self.queue.clone()) } else { options };
                let subscribed = stage.present("subscribe", self.broker.subscribe(&self.topic, options)).await?;
                *subscription = or_closed("subscribe", subscribed)?;
            }
            Step::Publish(count) => {
                let from = {
                    let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
                    book.0 += count;
                    book.0 - count
                };
                let receipts = self.broker.publish(&self.topic, numbered(from..from + count));
                for (number, receipt) in (from..).zip(stage.present("receipts", receipts).await?) {
                    if or_closed("publish", receipt)?.is_some() {
                        self.book.lock().unwrap_or_else(PoisonError::into_inner).1.insert(number);
                    }
                }
            }
            Step::Next { yields } => {
                if let Some(subscription) = subscription
                    && let Some(next) = given_up(subscription, async {
                        for _ in 0..yields {
                            tokio::task::yield_now().await;
                        }
                    })
                    .await
                {
                    or_closed("next", next)?.flatten().unwrap_or_default().into_iter().for_each(acknowledge_unwaited);
                }
            }
            Step::Stop => {
                if let Some(subscription) = subscription {
                    stage.present("stop", subscription.stop()).await?;
                }
            }
            Step::Unsubscribe => {
                if let Some(subscription) = subscription.take() {
                    or_closed("unsubscribe", stage.present("unsubscribe", subscription.unsubscribe()).await?)?;
                }
            }
            Step::Drop => drop(subscription.take()),
            Step::Close => {
                or_closed("disconnect", stage.present("disconnect", self.broker.disconnect()).await?)?;
            }
        }
        Ok(())
    }
}

/// Another actor may have closed the client; nothing else may go wrong.
fn or_closed<T>(what: &str, result: Result<T, Error>) -> Result<Option<T>, Failed> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == Kind::Closed => Ok(None),
        Err(error) => Err(Failed::new(format!("{what} amid the others: {:?}: {error}", error.kind()))),
    }
}

async fn all_there(
    stage: &Stage,
    broker: &Arc<dyn Broker>,
    topic: &Topic,
    mut confirmed: BTreeSet<usize>,
) -> Result<(), Failed> {
    let capability = stage.capability();
    let history = capability.backlog && capability.replay;
    let options = if history { SubscribeOptions::new().start(Start::Earliest) } else { SubscribeOptions::new() };
    if !history {
        confirmed.clear();
    }
    let mut subscription = stage.subscribe(broker, topic, options).await?;
    stage.publish(broker, topic, vec![Message::new(usize::MAX.to_string())]).await?;
    confirmed.insert(usize::MAX);
    while !confirmed.is_empty() {
        let what = format!("{} confirmed messages are missing; the next", confirmed.len());
        for delivery in stage.present(&what, subscription.next(100)).await??.unwrap_or_default() {
            confirmed.remove(&number(&delivery)?);
            acknowledge_unwaited(delivery);
        }
    }
    Ok(())
}

/// What `next` brings, or `None` if the other future was sooner: then it is dropped as it waits.
async fn given_up(
    subscription: &mut Box<dyn Subscription>,
    patience: impl Future<Output = ()>,
) -> Option<micro_core::Result<Option<Vec<micro_core::broker::Delivery>>>> {
    match select(subscription.next(3), std::pin::pin!(patience)).await {
        Either::Left((next, _)) => Some(next),
        Either::Right(_) => None,
    }
}

/// How many waiting calls of `next` are dropped.
const DROPS: usize = 200;

pub(super) async fn a_next_that_is_dropped_loses_nothing(stage: Stage) -> Result<(), Failed> {
    let seed = seed()?;
    let outcome = dropped_again_and_again(&stage, Rng::with_seed(seed)).await;
    outcome.map_err(|failed| with_seed(seed, "the drops", &failed))
}

async fn dropped_again_and_again(stage: &Stage, mut chance: Rng) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("t"));
    let mut subscription = stage.subscribe(&broker, &topic, SubscribeOptions::new()).await?;
    // Something arrives all the time, until enough was dropped.
    let (ended, mut is_ended) = tokio::sync::watch::channel(false);
    let publishing = {
        let (stage, broker, topic, mut chance) = (stage.clone(), Arc::clone(&broker), topic.clone(), chance.fork());
        tokio::spawn(async move {
            let mut published = 0;
            while !*is_ended.borrow_and_update() {
                let count = chance.usize(1..=3);
                stage.publish(&broker, &topic, numbered(published..published + count)).await?;
                published += count;
                tokio::time::sleep(Duration::from_millis(chance.u64(..=2))).await;
            }
            Ok::<_, Failed>(published)
        })
    };
    let (mut came, mut dropped, mut brought, began) = (BTreeSet::new(), 0, 0, Instant::now());
    // As many bring something: what was dropped before is looked at in between.
    while dropped < DROPS || brought < DROPS / 4 {
        let limit = stage.limits().present;
        ensure!(began.elapsed() < limit, "{dropped} were dropped and {brought} brought something within {limit:?}");
        let (yields, wait) = (chance.usize(..30), chance.u64(..=2));
        let patience = async {
            for _ in 0..yields {
                tokio::task::yield_now().await;
            }
            // More often than not it is given up within a millisecond, which no timer can.
            if yields < 10 {
                tokio::time::sleep(Duration::from_millis(wait)).await;
            }
        };
        let Some(next) = given_up(&mut subscription, patience).await else {
            dropped += 1;
            continue;
        };
        brought += 1;
        for delivery in next?.unwrap_or_default() {
            ensure!(came.insert(number(&delivery)?), "{} came twice", number(&delivery)?);
            let parts = delivery.into_parts();
            drop(parts.origin.settler.settle(vec![Settlement::new(parts.token, Settle::Ack, 0)]));
        }
    }
    ended.send_replace(true);
    let published = stage.present("publishing", publishing).await?;
    let published = published.map_err(|error| Failed::new(format!("the publisher panicked: {error}")))??;
    let rest = stage.drain(&mut subscription, published - came.len()).await?;
    for number in rest {
        ensure!(came.insert(number), "{number} came twice");
    }
    ensure!(came.iter().copied().eq(0..published), "{} of {published} came", came.len());
    stage.silence(&mut subscription).await
}
