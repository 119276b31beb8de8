use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use micro_core::broker::{Delivery, Message, SubscribeOptions};

use super::{Double, Tamper, tampered};

fn on_publish(change: impl Fn(Vec<Message>) -> Vec<Message> + Send + Sync + 'static) -> Tamper {
    Tamper { publish: Some(Box::new(change)), ..Tamper::default() }
}

/// Two of a batch change their places.
fn swaps(one: usize, other: usize) -> Tamper {
    on_publish(move |mut messages| {
        if messages.len() > one.max(other) {
            messages.swap(one, other);
        }
        messages
    })
}

/// Each message is made anew by this.
fn on_messages(change: fn(Message) -> Message) -> Tamper {
    on_publish(move |messages| messages.into_iter().map(change).collect())
}

pub(super) fn doubles() -> Vec<Double> {
    vec![
        tampered("B50", "swaps two messages", || swaps(3, 4)),
        tampered("B51", "swaps two messages of a key", || swaps(3, 35)),
        tampered("B51", "gives a key to more than one member", || {
            on_messages(|mut message| {
                message.key = None;
                message
            })
        }),
        tampered("B52", "goes on while a failure waits", || {
            let loose = |mut options: SubscribeOptions| {
                options.ordered = false;
                options
            };
            Tamper { options: Some(Box::new(loose)), ..Tamper::default() }
        }),
        tampered("B55", "forgets the partition", || {
            on_messages(|message| {
                let mut plain = Message::new(message.body);
                plain.key = message.key;
                plain
            })
        }),
        tampered("B55", "does not tell the partition", || {
            let silent = |mut deliveries: Vec<Delivery>| {
                deliveries.iter_mut().for_each(|delivery| delivery.parts_mut().position = None);
                deliveries
            };
            Tamper { deliver: Some(Box::new(silent)), ..Tamper::default() }
        }),
        tampered("B56", "stops for all when one is slow", || {
            let (begun, kept) = (AtomicBool::new(false), Mutex::new(Vec::new()));
            let stall = move |deliveries: Vec<Delivery>| {
                // The first is handed out, and never answered in time: all others wait.
                if begun.swap(true, Ordering::Relaxed) {
                    kept.lock().unwrap().extend(deliveries);
                    return Vec::new();
                }
                deliveries
            };
            Tamper { deliver: Some(Box::new(stall)), ..Tamper::default() }
        }),
    ]
}
