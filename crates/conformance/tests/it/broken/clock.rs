use std::time::Duration;

use micro_core::broker::{Message, Settle, SubscribeOptions};

use super::options::{on_messages, with_options};
use super::{Double, Tamper, tampered};
use crate::tamper::on_answers;

/// What does not go by the clock that jumped is not there for as long.
const LONG: Duration = Duration::from_secs(2 * 86_400);

fn options(message: &Message) -> (Option<Duration>, Option<Duration>) {
    message.options().map_or((None, None), |options| (options.delay, options.ttl))
}

pub(super) fn doubles() -> Vec<Double> {
    vec![
        tampered("B110", "keeps leases past their end", || {
            let long = |options: SubscribeOptions| options.lease(LONG);
            Tamper { options: Some(Box::new(long)), ..Tamper::default() }
        }),
        tampered("B110", "hangs in a pause", || {
            on_answers(|answer| {
                if matches!(answer.settle, Settle::Retry(_)) {
                    answer.settle = Settle::Retry(LONG);
                }
            })
        }),
        tampered("B110", "hangs in a delay", || {
            on_messages(|message| match options(&message).0 {
                Some(_) => with_options(message, |plain| plain.delay(LONG)),
                None => message,
            })
        }),
        tampered("B110", "brings with the jump what is due later", || {
            on_messages(|message| match options(&message).0 {
                Some(delay) => with_options(message, |plain| plain.delay(delay / 4)),
                None => message,
            })
        }),
        tampered("B110", "knows no end of a message", || {
            on_messages(|message| match options(&message).1 {
                Some(_) => with_options(message, |plain| plain.ttl(LONG)),
                None => message,
            })
        }),
        tampered("B110", "brings what was delayed twice", || {
            let twice = |messages: Vec<Message>| {
                let again: Vec<_> = messages.iter().filter(|message| options(message).0.is_some()).cloned().collect();
                messages.into_iter().chain(again).collect()
            };
            Tamper { publish: Some(Box::new(twice)), ..Tamper::default() }
        }),
    ]
}
