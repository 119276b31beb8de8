use std::sync::Mutex;
use std::time::Duration;

use micro_core::broker::{Delivery, Message, SubscribeOptions};

use super::{Double, Tamper, tampered};
use crate::tamper::{on_messages, only_answers};

fn lease(lease: Duration) -> Tamper {
    let change = move |options: SubscribeOptions| options.lease(lease);
    Tamper { options: Some(Box::new(change)), ..Tamper::default() }
}

pub(super) fn doubles() -> Vec<Double> {
    vec![
        tampered("B27", "never takes back what is held", || lease(Duration::from_secs(3600))),
        tampered("B27", "takes back what is held too early", || lease(Duration::from_millis(300))),
        tampered("B27", "does not hear that a handler is at work", || Tamper { deaf: true, ..Tamper::default() }),
        tampered("B27", "confirms answers that it does not send", || only_answers(|_| false)),
        tampered("B34", "loses keys", || on_messages(|message| message.key = None)),
        tampered("B34", "gives a key to several members", keys_of_members),
        tampered("B34", "gives the next of a key too late", || {
            on_messages(|message| {
                let number = std::str::from_utf8(&message.body).ok().and_then(|text| text.parse().ok());
                if number.is_some_and(|number: usize| (16..32).contains(&number)) {
                    *message = message.clone().delay(Duration::from_secs(7));
                }
            })
        }),
    ]
}

/// Each message has a key of its own until it is handed out: the members share without looking at keys.
fn keys_of_members() -> Tamper {
    let count = Mutex::new(0_u64);
    let publish = move |mut messages: Vec<Message>| {
        for message in &mut messages {
            let mut count = count.lock().unwrap();
            *count += 1;
            let own = format!("own-{count}");
            if let Some(key) = message.key.replace(own.into()) {
                message.headers.set("Real-Key", String::from_utf8_lossy(&key).into_owned());
            }
        }
        messages
    };
    let deliver = |mut deliveries: Vec<Delivery>| {
        for delivery in &mut deliveries {
            let key = delivery.headers().get_str("Real-Key").map(str::to_owned);
            delivery.parts_mut().message.key = key.map(Into::into);
        }
        deliveries
    };
    Tamper { publish: Some(Box::new(publish)), deliver: Some(Box::new(deliver)), ..Tamper::default() }
}
