use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use micro_core::broker::{Delivery, Message, Settle, Settlement, SubscribeOptions};

use super::{Double, Tamper, tampered};
use crate::tamper::{instead, on_answers, on_deliveries, on_messages};

fn on_dead_letters(change: impl Fn(&mut Message) + Send + Sync + 'static) -> Tamper {
    on_messages(move |message| {
        if message.headers.get("Micro-Dead-Reason").is_some() {
            change(message);
        }
    })
}

/// Every answer that is no success becomes one.
fn swallows_failures() -> Tamper {
    instead(|settle| *settle != Settle::Ack, Settle::Ack)
}

pub(super) fn doubles() -> Vec<Double> {
    vec![
        tampered("B12", "loses the content type", || on_messages(|m| drop(m.headers.remove("Content-Type")))),
        tampered("B53", "loses keys", || on_messages(|message| message.key = None)),
        tampered("B53", "gives every message the same key", || on_messages(|message| message.key = Some("one".into()))),
        tampered("B54", "gives every message the same key", || on_messages(|message| message.key = Some("one".into()))),
        tampered("B60", "forgets what failed", swallows_failures),
        tampered("B60", "tells no failures", || on_answers(|answer| answer.attempts = 0)),
        tampered("B61", "gives it again at once", || {
            on_answers(|answer| {
                if let Settle::Retry(pause) = &mut answer.settle {
                    *pause = Duration::ZERO;
                }
            })
        }),
        tampered("B62", "loses a dead letter's body", || on_dead_letters(|message| message.body = "".into())),
        tampered("B62", "loses a dead letter's headers", || on_dead_letters(|m| drop(m.headers.remove("Tenant")))),
        tampered("B62", "loses a dead letter's key", || on_dead_letters(|message| message.key = None)),
        tampered("B63", "acknowledges what is given back", swallows_failures),
        tampered("B64", "gives a subscription one message at a time", || {
            let one = |options: SubscribeOptions| options.in_flight(1);
            let stuck = |mut deliveries: Vec<Delivery>| {
                deliveries.iter_mut().for_each(|delivery| delivery.parts_mut().message.key = Some("one".into()));
                deliveries
            };
            let hang = |answers: Vec<Settlement>| answers.into_iter().filter(|a| a.settle == Settle::Ack).collect();
            Tamper {
                options: Some(Box::new(one)),
                deliver: Some(Box::new(stuck)),
                settle: Some(Box::new(hang)),
                ..Tamper::default()
            }
        }),
        tampered("B65", "loses dead letters", || {
            let lose = |messages: Vec<Message>| {
                messages.into_iter().filter(|m| m.headers.get("Micro-Dead-Reason").is_none()).collect()
            };
            Tamper { publish: Some(Box::new(lose)), ..Tamper::default() }
        }),
        tampered("B66", "loses for whom a message is", || on_messages(|m| drop(m.headers.remove("Micro-For-Queue")))),
        tampered("B67", "forgets what failed", swallows_failures),
        tampered("B68", "forgets what failed", swallows_failures),
        tampered("B69", "counts what is given back as failed", || {
            let count = |delivery: &mut Delivery| {
                if delivery.deliveries().unwrap_or(0) > 1 {
                    delivery.parts_mut().attempts += 1;
                }
            };
            on_deliveries(count)
        }),
        tampered("B69", "forgets what is given back", swallows_failures),
        tampered("B121", "gives all of a batch again", || {
            let count = AtomicUsize::new(0);
            on_answers(move |answer| {
                if answer.settle == Settle::Ack && count.fetch_add(1, Ordering::Relaxed) < 9 {
                    answer.settle = Settle::Retry(Duration::ZERO);
                }
            })
        }),
        tampered("B123", "loses the last acknowledgements", || {
            let count = AtomicUsize::new(0);
            on_answers(move |answer| {
                if count.fetch_add(1, Ordering::Relaxed) >= 3 {
                    answer.settle = Settle::Release;
                }
            })
        }),
    ]
}
