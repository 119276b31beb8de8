use std::time::Duration;

use micro_core::broker::{Memory, Message};

use super::{Double, Tamper, hooked, tampered};

pub(super) fn on_messages(change: impl Fn(Message) -> Message + Send + Sync + 'static) -> Tamper {
    let publish = move |messages: Vec<Message>| messages.into_iter().map(&change).collect();
    Tamper { publish: Some(Box::new(publish)), ..Tamper::default() }
}

/// The message without its options, and with others.
pub(super) fn with_options(message: Message, again: impl Fn(Message) -> Message) -> Message {
    let mut plain = Message::new(message.body.clone());
    plain.headers = message.headers.clone();
    plain.key.clone_from(&message.key);
    again(plain)
}

pub(super) fn doubles() -> Vec<Double> {
    vec![
        tampered("B70", "knows no delay", || on_messages(|message| with_options(message, |plain| plain))),
        tampered("B70", "makes every delay the same", || {
            on_messages(|message| with_options(message, |plain| plain.delay(Duration::from_millis(700))))
        }),
        tampered("B71", "keeps what is expired", || on_messages(|message| with_options(message, |plain| plain))),
        hooked("B94", "knows no pause", |memory| {
            let mut hooks = super::Hooks::of(memory);
            hooks.pauses = false;
            hooks
        }),
        hooked("B94", "loses what comes in a pause", |memory| {
            let mut hooks = super::Hooks::of(memory);
            hooks.loses_in_pause = true;
            hooks
        }),
        hooked("B120", "brings more than asked for", |memory: Memory| {
            let mut hooks = super::Hooks::of(memory);
            hooks.least = 5;
            hooks
        }),
        hooked("B120", "brings nothing", |memory| {
            let mut hooks = super::Hooks::of(memory);
            hooks.empty = true;
            hooks
        }),
        tampered("B122", "refuses the whole batch", || {
            let refuse = |mut messages: Vec<Message>| {
                if messages.iter().any(|message| message.headers.check().is_err()) {
                    messages.clear();
                }
                messages
            };
            Tamper { publish: Some(Box::new(refuse)), ..Tamper::default() }
        }),
        tampered("B122", "takes what it must refuse", || on_messages(|message| Message::new(message.body))),
        tampered("B130", "does not look for duplicates", || {
            on_messages(|message| with_options(message, |plain| plain))
        }),
    ]
}
