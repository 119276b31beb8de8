use std::sync::atomic::{AtomicUsize, Ordering};

use micro_core::broker::{Message, Topic};

use super::{Double, Tamper, tampered};

pub(super) fn doubles() -> Vec<Double> {
    vec![
        tampered("B01", "drops the third message", || {
            let count = AtomicUsize::new(0);
            let drop_third = move |messages: Vec<Message>| {
                messages.into_iter().filter(|_| count.fetch_add(1, Ordering::Relaxed) != 2).collect()
            };
            Tamper { publish: Some(Box::new(drop_third)), ..Tamper::default() }
        }),
        tampered("B01", "delivers a message twice", || {
            let twice = |mut messages: Vec<Message>| {
                messages.extend(messages.first().cloned());
                messages
            };
            Tamper { publish: Some(Box::new(twice)), ..Tamper::default() }
        }),
        tampered("B01", "loses headers", || {
            let bare = |mut messages: Vec<Message>| {
                messages.iter_mut().for_each(|message| drop(message.headers.remove("Tenant")));
                messages
            };
            Tamper { publish: Some(Box::new(bare)), ..Tamper::default() }
        }),
        tampered("B02", "mixes topics", || {
            let one = |_: Topic| Topic::new("everything").unwrap();
            Tamper { publish_topic: Some(Box::new(one)), subscribe_topic: Some(Box::new(one)), ..Tamper::default() }
        }),
    ]
}
