//! B27, B34: what is in a member's hands, and for how long.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use micro_core::broker::{
    Delivery, DeliveryParts, Message, Settle, Settled, Settlement, SubscribeOptions, Subscription,
};
use micro_core::{Context, Error, Kind};
use micro_event::{Events, raw_subscriber};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use super::Stage;
use super::events::stop;
use super::groups::acknowledge;
use super::stage::{number, numbered};
use crate::Failed;
use crate::case::rules;
use crate::failed::ensure;

rules! { broker:
    B27 what_is_not_answered_within_its_lease_comes_again [Queues, Lease] "what a member that lives does not answer within its lease comes again, to another where its own takes nothing, and its late answer is a conflict; with extend it does not";
    B34 while_one_of_a_key_is_handled_the_next_waits [Queues, Keys] "with ordered, the next message of a key is not handled while one is, by any member of the queue, and is within five seconds when that is done";
}

/// How long a member that says nothing keeps what it was given.
const LEASE: Duration = Duration::from_millis(1500);
/// As many messages as there are where members share them.
const COUNT: usize = 32;
/// As many of them as one member holds.
const HELD: usize = 4;

async fn what_is_not_answered_within_its_lease_comes_again(stage: Stage) -> Result<(), Failed> {
    futures_util::try_join!(held_in_silence(&stage), held_alone(&stage), held_at_work(&stage))?;
    Ok(())
}

/// One takes some and is silent; another takes what it can get.
async fn held_in_silence(stage: &Stage) -> Result<(), Failed> {
    let (mut silent, mut other, before, held) = one_holds(stage, "silence").await?;
    let numbers: BTreeSet<_> = held.iter().map(|(number, _)| *number).collect();
    let until = Instant::now() + stage.limits().present + LEASE;
    let mut came = BTreeSet::new();
    while came.len() < COUNT {
        let left = until.saturating_duration_since(Instant::now());
        let Ok(next) = timeout(left, other.next(16)).await else {
            return Err(Failed::new(format!("{} of {COUNT} came to the other member: {came:?}", came.len())));
        };
        for delivery in next?.ok_or_else(|| Failed::new("the subscription ended"))? {
            let number = number(&delivery)?;
            let early = numbers.contains(&number) && before.elapsed() < LEASE;
            ensure!(!early, "{number} went to another after {:?}, before its lease of {LEASE:?}", before.elapsed());
            ensure!(delivery.attempts() == 0, "a lease that ended was counted as a failure: {delivery:?}");
            ensure!(came.insert(number), "{number} came twice");
            acknowledge(stage, vec![delivery]).await?;
        }
    }
    for (number, parts) in &held {
        let late = stage.present("the late answer", settle(parts, Settle::Ack)).await?;
        let conflict = late.as_ref().is_err_and(|error| error.kind() == Kind::Conflict);
        ensure!(conflict, "the late answer to {number}, which went to another, is no conflict but {late:?}");
    }
    stage.silence(&mut silent).await?;
    stage.silence(&mut other).await
}

/// One holds a message and goes on taking what comes.
async fn held_alone(stage: &Stage) -> Result<(), Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic("alone"));
    let mut subscription = stage.subscribe(&broker, &topic, member(stage, "alone")).await?;
    stage.publish(&broker, &topic, numbered(0..1)).await?;
    let before = Instant::now();
    let held = stage.take_one(&mut subscription).await?.into_parts();
    let again = timeout(stage.limits().present + LEASE, subscription.next(1)).await;
    let again = again.map_err(|_| Failed::new("what nobody answered did not come again to its only member"))?;
    let again = again?.and_then(|mut all| all.pop()).ok_or_else(|| Failed::new("the subscription ended"))?;
    ensure!(before.elapsed() >= LEASE, "it came again after {:?}, before its lease of {LEASE:?}", before.elapsed());
    ensure!(again.body() == "0" && again.attempts() == 0, "{again:?} came again");
    let late = stage.present("the late answer", settle(&held, Settle::Ack)).await?;
    ensure!(late.is_err_and(|error| error.kind() == Kind::Conflict), "the late answer is no conflict");
    acknowledge(stage, vec![again]).await?;
    stage.silence(&mut subscription).await
}

/// One takes some, and says that it is at work.
async fn held_at_work(stage: &Stage) -> Result<(), Failed> {
    let (mut busy, mut other, _, held) = one_holds(stage, "work").await?;
    let numbers: BTreeSet<_> = held.iter().map(|(number, _)| *number).collect();
    let tokens: Vec<_> = held.iter().map(|(_, parts)| parts.token).collect();
    let mut came = BTreeSet::new();
    let until = Instant::now() + LEASE * 2;
    while Instant::now() < until {
        held[0].1.origin.settler.extend(&tokens);
        let Ok(next) = timeout(LEASE / 8, other.next(16)).await else { continue };
        let deliveries = next?.ok_or_else(|| Failed::new("the subscription ended"))?;
        for delivery in &deliveries {
            let number = number(delivery)?;
            ensure!(!numbers.contains(&number), "{number} went to another, though its handler was at work");
            ensure!(came.insert(number), "{number} came twice");
        }
        acknowledge(stage, deliveries).await?;
    }
    for (number, parts) in &held {
        stage.present("the answer of one at work", settle(parts, Settle::Ack)).await??;
        came.insert(*number);
    }
    let until = Instant::now() + stage.limits().present;
    while came.len() < COUNT {
        ensure!(Instant::now() < until, "{} of {COUNT} came", came.len());
        for subscription in [&mut busy, &mut other] {
            let Ok(next) = timeout(Duration::from_millis(20), subscription.next(16)).await else { continue };
            let deliveries = next?.ok_or_else(|| Failed::new("the subscription ended"))?;
            for delivery in &deliveries {
                ensure!(came.insert(number(delivery)?), "{} came twice", number(delivery)?);
            }
            acknowledge(stage, deliveries).await?;
        }
    }
    stage.silence(&mut busy).await?;
    stage.silence(&mut other).await
}

fn member(stage: &Stage, queue: &str) -> SubscribeOptions {
    SubscribeOptions::new().queue(stage.queue(queue)).lease(LEASE)
}

/// A member, another one, when the first began to take some messages, and these.
type Holding = (Box<dyn Subscription>, Box<dyn Subscription>, Instant, Vec<(usize, DeliveryParts)>);

async fn one_holds(stage: &Stage, what: &str) -> Result<Holding, Failed> {
    let (broker, topic) = (stage.client().await?, stage.topic(what));
    let mut first = stage.subscribe(&broker, &topic, member(stage, what)).await?;
    let other = stage.client().await?;
    let second = stage.subscribe(&other, &topic, member(stage, what)).await?;
    let keys = stage.capability().keys;
    let key = |(number, message): (usize, Message)| if keys { message.key(format!("key-{number}")) } else { message };
    stage.publish(&broker, &topic, numbered(0..COUNT).into_iter().enumerate().map(key).collect()).await?;
    let before = Instant::now();
    let held = stage.take(&mut first, HELD).await?;
    let with_number = |delivery: Delivery| number(&delivery).map(|number| (number, delivery.into_parts()));
    Ok((first, second, before, held.into_iter().map(with_number).collect::<Result<_, _>>()?))
}

fn settle(parts: &DeliveryParts, answer: Settle) -> impl Future<Output = micro_core::Result<()>> + use<> {
    let settled: Settled = parts.origin.settler.settle(vec![Settlement::new(parts.token, answer, parts.attempts)]);
    settled.first()
}

/// The next handler that begins: its member and its number.
async fn next_begin(
    stage: &Stage,
    begins: &mut UnboundedReceiver<(usize, usize)>,
    what: &str,
) -> Result<(usize, usize), Failed> {
    stage.present(what, begins.recv()).await?.ok_or_else(|| Failed::new("the subscriptions ended"))
}

async fn while_one_of_a_key_is_handled_the_next_waits(stage: Stage) -> Result<(), Failed> {
    /// So many that each of two members has some.
    const KEYS: usize = 16;
    /// How long the next may take when the one before it is done.
    const NEXT: Duration = Duration::from_secs(5);
    let (topic, queue) = (stage.topic("t"), stage.queue("q"));
    let (began, mut begins) = unbounded_channel();
    let gates: Arc<Vec<Semaphore>> = Arc::new((0..KEYS).map(|_| Semaphore::new(0)).collect());
    let mut live = Vec::new();
    for member in 0..2 {
        let (gates, began) = (Arc::clone(&gates), began.clone());
        let handler = move |_: Context, message: Message| {
            let (gates, began) = (Arc::clone(&gates), began.clone());
            async move {
                let number = std::str::from_utf8(&message.body).ok().and_then(|text| text.parse::<usize>().ok());
                let number = number.ok_or_else(|| Error::internal("conformance", "the body is no number"))?;
                // The case may be over.
                let _ = began.send((member, number));
                if number < KEYS {
                    gates[number].acquire().await.map_err(|_| Error::internal("conformance", "over"))?.forget();
                }
                Ok(())
            }
        };
        let subscriber = raw_subscriber(topic.as_str(), handler).queue(queue.as_str()).ordered();
        let events = Events::new(stage.client().await?);
        live.push(events.subscribe(subscriber.concurrency(2 * KEYS)).await?);
    }
    let publisher = stage.client().await?;
    let keyed = |numbers: std::ops::Range<usize>| {
        let key = |number: usize| Message::new(number.to_string()).key(format!("key-{}", number % KEYS));
        numbers.map(key).collect::<Vec<_>>()
    };
    // One that joined has its part a little later: each has something before it counts.
    let mut members = BTreeSet::new();
    let until = Instant::now() + stage.limits().present;
    for number in 2 * KEYS.. {
        ensure!(Instant::now() < until, "all is handled by one of the two members");
        if members.len() == 2 {
            break;
        }
        stage.publish(&publisher, &topic, keyed(number..number + 1)).await?;
        members.insert(next_begin(&stage, &mut begins, "a handler of the first messages").await?.0);
    }
    members.clear();
    for key in 0..KEYS {
        // One by one, so that no member takes all before the other has looked.
        stage.publish(&publisher, &topic, keyed(key..key + 1)).await?;
        let what = format!("{key} of {KEYS} keys have a handler at work; the next one");
        let (member, number) = next_begin(&stage, &mut begins, &what).await?;
        ensure!(number == key, "{number} came where {key} was due");
        members.insert(member);
    }
    ensure!(members.len() == 2, "all handlers are with one of the two members");
    stage.publish(&publisher, &topic, keyed(KEYS..2 * KEYS)).await?;
    let early = timeout(stage.limits().absent, begins.recv()).await;
    ensure!(early.is_err(), "while the first of each key is handled, there began (member, number) {early:?}");
    gates[0].add_permits(1);
    let next = timeout(NEXT, begins.recv()).await;
    let next = next.map_err(|_| Failed::new(format!("the next of a key was not handled within {NEXT:?}")))?;
    ensure!(next.is_some_and(|(_, number)| number == KEYS), "{next:?} was handled where {KEYS} was due");
    let early = timeout(stage.limits().absent, begins.recv()).await;
    ensure!(early.is_err(), "when one key was free, there began also (member, number) {early:?}");
    gates.iter().skip(1).for_each(|gate| gate.add_permits(1));
    let until = Instant::now() + NEXT;
    let mut rest = BTreeSet::new();
    while rest.len() < KEYS - 1 {
        let next = timeout(until.saturating_duration_since(Instant::now()), begins.recv()).await;
        let Ok(Some((_, number))) = next else {
            return Err(Failed::new(format!("of the next of each key only {rest:?} were handled within {NEXT:?}")));
        };
        ensure!(number > KEYS && rest.insert(number), "{number} was handled once more");
    }
    for live in live {
        stop(&stage, live).await?;
    }
    Ok(())
}
