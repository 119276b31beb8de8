use std::sync::atomic::{AtomicUsize, Ordering};

use micro_core::broker::{Delivery, Message, Queue, Settle, Settlement, Start, SubscribeOptions, Topic};

use super::{Double, Tamper, tampered};

fn on_options(change: impl Fn(SubscribeOptions) -> SubscribeOptions + Send + Sync + 'static) -> Tamper {
    Tamper { options: Some(Box::new(change)), ..Tamper::default() }
}

fn on_publish(change: impl Fn(Vec<Message>) -> Vec<Message> + Send + Sync + 'static) -> Tamper {
    Tamper { publish: Some(Box::new(change)), ..Tamper::default() }
}

fn elsewhere(topic: &Topic) -> Topic {
    Topic::new(format!("{topic}.elsewhere")).unwrap()
}

/// All share one queue, whatever they ask for.
fn one_queue() -> Tamper {
    on_options(|options| options.queue(Queue::new("everyone").unwrap()))
}

/// Each member has a queue of its own, from the latest on or from the beginning.
fn no_queue(start: Start) -> Tamper {
    let count = AtomicUsize::new(0);
    on_options(move |options| {
        let name = format!("own-{}", count.fetch_add(1, Ordering::Relaxed));
        options.queue(Queue::new(name).unwrap()).start(start)
    })
}

/// The second member has nothing to do.
fn second_gets_nothing() -> Tamper {
    let count = AtomicUsize::new(0);
    let change = move |topic: Topic| match count.fetch_add(1, Ordering::Relaxed) {
        1 => elsewhere(&topic),
        _ => topic,
    };
    Tamper { subscribe_topic: Some(Box::new(change)), ..Tamper::default() }
}

/// The first two members have a part each, and nobody takes it over.
fn fixed_parts() -> Tamper {
    let count = AtomicUsize::new(0);
    let change = move |topic: Topic| match count.fetch_add(1, Ordering::Relaxed) % 2 {
        1 => elsewhere(&topic),
        _ => topic,
    };
    Tamper { publish_topic: Some(Box::new(change)), ..second_gets_nothing() }
}

/// A message is settled when it is handed out, not when it is handled.
fn settles_too_early() -> Tamper {
    // No failure count comes near: this marks the answers that count.
    const EARLY: u32 = u32::MAX;
    let deliver = |deliveries: Vec<Delivery>| {
        for delivery in &deliveries {
            drop(delivery.settler().settle(vec![Settlement::new(delivery.token(), Settle::Ack, EARLY)]));
        }
        deliveries
    };
    let settle = |answers: Vec<Settlement>| answers.into_iter().filter(|answer| answer.attempts == EARLY).collect();
    Tamper { deliver: Some(Box::new(deliver)), settle: Some(Box::new(settle)), ..Tamper::default() }
}

/// What was acknowledged comes again: each answer of these numbers, counted from 0, is forgotten.
fn forgets_acknowledgements(these: std::ops::Range<usize>) -> Tamper {
    let count = AtomicUsize::new(0);
    let settle = move |mut answers: Vec<Settlement>| {
        for answer in &mut answers {
            if these.contains(&count.fetch_add(1, Ordering::Relaxed)) {
                answer.settle = Settle::Release;
            }
        }
        answers
    };
    Tamper { settle: Some(Box::new(settle)), ..Tamper::default() }
}

fn loses(body: &'static str) -> Tamper {
    on_publish(move |messages| messages.into_iter().filter(|message| message.body != body).collect())
}

fn doubles_one(body: &'static str) -> Tamper {
    on_publish(move |mut messages| {
        let again: Vec<_> = messages.iter().filter(|message| message.body == body).cloned().collect();
        messages.extend(again);
        messages
    })
}

pub(super) fn doubles() -> Vec<Double> {
    vec![
        tampered("B10", "lets all subscribers share", one_queue),
        tampered("B40", "has one queue for all", one_queue),
        tampered("B41", "gives each member everything", || no_queue(Start::Earliest)),
        tampered("B41", "gives all to one member", second_gets_nothing),
        tampered("B42", "gives nothing to who joins", second_gets_nothing),
        tampered("B42", "gives everything again to who joins", || no_queue(Start::Earliest)),
        tampered("B42", "loses what came before the join", || loses("30")),
        tampered("B43", "leaves the part of who left", fixed_parts),
        tampered("B43", "gives again what was handled before the leaving", || forgets_acknowledgements(60..64)),
        tampered("B44", "loses what a dead member had", settles_too_early),
        tampered("B44", "gives again what a dead member had handled", || forgets_acknowledgements(5..6)),
        tampered("B44", "leaves the part of who died", second_gets_nothing),
        tampered("B45", "forgets a queue that is away", || no_queue(Start::Latest)),
        tampered("B45", "begins anew when a queue is back", || no_queue(Start::Earliest)),
        tampered("B46", "has one queue of a name for all topics", || {
            let one = |_: Topic| Topic::new("everything").unwrap();
            Tamper { publish_topic: Some(Box::new(one)), subscribe_topic: Some(Box::new(one)), ..Tamper::default() }
        }),
        tampered("B47", "loses one of many", || loses("777")),
        tampered("B47", "gives one of many twice", || doubles_one("777")),
        tampered("B48", "loses what is in hand at the close", settles_too_early),
        tampered("B48", "loses what comes while it is closed", || no_queue(Start::Latest)),
    ]
}
