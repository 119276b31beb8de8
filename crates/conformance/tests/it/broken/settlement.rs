use std::time::Duration;

use micro_core::broker::{Delivery, Settle, Settlement, SubscribeOptions};

use super::{Double, Tamper, tampered};
use crate::tamper::{instead, on_answers, only_answers};

fn acknowledges(settle: &Settle) -> bool {
    *settle == Settle::Ack
}

fn retries(settle: &Settle) -> bool {
    matches!(settle, Settle::Retry(_))
}

fn counts_nothing() -> Tamper {
    on_answers(|answer| {
        answer.attempts = 0;
    })
}

pub(super) fn doubles() -> Vec<Double> {
    vec![
        tampered("B20", "forgets acknowledgements", || instead(acknowledges, Settle::Release)),
        tampered("B21", "acknowledges what is to be retried", || instead(retries, Settle::Ack)),
        tampered("B21", "does not count failures", counts_nothing),
        tampered("B21", "counts twice", || {
            on_answers(|answer| {
                answer.attempts *= 2;
            })
        }),
        tampered("B22", "gives up after two failures", || {
            on_answers(|answer| {
                if answer.attempts >= 2 {
                    answer.settle = Settle::Ack;
                }
            })
        }),
        tampered("B23", "knows no pauses", || instead(retries, Settle::Retry(Duration::ZERO))),
        tampered("B23", "makes pauses too long", || instead(retries, Settle::Retry(Duration::from_secs(3)))),
        tampered("B24", "gives what is rejected again", || {
            instead(|settle| matches!(settle, Settle::Reject(_)), Settle::Release)
        }),
        tampered("B25", "takes a drop for an acknowledgement", || {
            instead(|settle| *settle == Settle::Release, Settle::Ack)
        }),
        tampered("B25", "counts a drop as a failure", || {
            on_answers(|answer| {
                answer.attempts += u32::from(answer.settle == Settle::Release);
            })
        }),
        tampered("B26", "settles what it hands out", settles_at_once),
        tampered("B28", "takes an answer for those before it too", || {
            on_answers(|answer| {
                if answer.settle == Settle::Release {
                    answer.settle = Settle::Ack;
                }
            })
        }),
        tampered("B29", "confirms everything", || only_answers(|answer| answer.settle == Settle::Ack)),
        tampered("B30", "confirms what it does not send", || only_answers(|_| false)),
        tampered("B31", "does not count failures", counts_nothing),
        tampered("B32", "confirms acknowledgements that it loses", || {
            only_answers(|answer| answer.settle != Settle::Ack)
        }),
        tampered("B33", "hands out without a limit", || {
            let more = |options: SubscribeOptions| options.in_flight(1000);
            Tamper { options: Some(Box::new(more)), ..Tamper::default() }
        }),
    ]
}

/// Acknowledges before any handler has seen it.
fn settles_at_once() -> Tamper {
    let at_once = |deliveries: Vec<Delivery>| {
        for delivery in &deliveries {
            drop(delivery.settler().settle(vec![Settlement::new(delivery.token(), Settle::Ack, 0)]));
        }
        deliveries
    };
    Tamper { deliver: Some(Box::new(at_once)), ..Tamper::default() }
}
