use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::UNIX_EPOCH;

use micro_core::broker::{Memory, Message, Topic};

use super::front::Front;
use super::{Double, Tamper, made, tampered};
use crate::tamper::{on_deliveries, on_messages};

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
        tampered("B03", "mixes topics whose names begin alike", || {
            let one = |topic: Topic| Topic::new(&topic.as_str()[..20]).unwrap();
            Tamper { publish_topic: Some(Box::new(one)), subscribe_topic: Some(Box::new(one)), ..Tamper::default() }
        }),
        tampered("B04", "takes bodies for text", || {
            on_messages(|message| message.body = String::from_utf8_lossy(&message.body).into_owned().into())
        }),
        tampered("B04", "cuts long bodies", || on_messages(|message| message.body.truncate(65_000))),
        tampered("B05", "folds the case of names", || {
            on_messages(|message| {
                let folded = message.headers.iter().map(|(n, v)| (n.to_ascii_lowercase(), v.clone())).collect();
                message.headers = folded;
            })
        }),
        tampered("B05", "keeps one of two headers of a name", || {
            on_messages(|message| {
                if let Some(value) = message.headers.get_bytes("Twice").cloned() {
                    message.headers.set("Twice", value);
                }
            })
        }),
        tampered("B05", "loses empty values", || on_messages(|message| message.headers.retain(|_, v| !v.is_empty()))),
        tampered("B06", "takes what is too large", || Tamper {
            capability: Some(|capability| capability.max_body = Some(100)),
            ..Tamper::default()
        }),
        tampered("B07", "changes names", || {
            let plain = |topic: Topic| Topic::new(topic.as_str().replace('.', "-")).unwrap();
            Tamper { publish_topic: Some(Box::new(plain)), subscribe_topic: Some(Box::new(plain)), ..Tamper::default() }
        }),
        tampered("B08", "makes another topic", || {
            let other = |topic: Topic| Topic::new(format!("{}.made", &topic.as_str()[..18])).unwrap();
            Tamper { publish_topic: Some(Box::new(other)), ..Tamper::default() }
        }),
        Double {
            strict: Some(Arc::new(|world| Arc::new(Memory::shared(world)))),
            ..made("B08", "makes what it may not", |world| Arc::new(Memory::shared(world)))
        },
        made("B11", "subscribes to publish", |world| {
            Arc::new(Front { listens: true, ..Front::of(Memory::shared(world)) })
        }),
        tampered("B13", "has no clock", || on_deliveries(|delivery| delivery.parts_mut().published = Some(UNIX_EPOCH))),
    ]
}
