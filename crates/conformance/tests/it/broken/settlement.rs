use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use micro_core::broker::{Delivery, Message, Settle, Settlement, SubscribeOptions, Token};

use super::{Double, Tamper, tampered};
use crate::tamper::{instead, on_answers, on_messages, only_answers};

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
        tampered("B22", "loses one of many failures", || {
            let count = AtomicUsize::new(0);
            on_answers(move |answer| {
                if retries(&answer.settle) && count.fetch_add(1, Ordering::Relaxed) == 250 {
                    answer.settle = Settle::Ack;
                }
            })
        }),
        tampered("B22", "forgets one of many acknowledgements", || {
            let count = AtomicUsize::new(0);
            on_answers(move |answer| {
                if answer.settle == Settle::Ack && count.fetch_add(1, Ordering::Relaxed) == 30 {
                    answer.settle = Settle::Release;
                }
            })
        }),
        tampered("B22", "counts no further than three", || {
            on_answers(|answer| answer.attempts = answer.attempts.min(3))
        }),
        tampered("B23", "knows no pauses", || instead(retries, Settle::Retry(Duration::ZERO))),
        tampered("B23", "makes pauses too long", || instead(retries, Settle::Retry(Duration::from_secs(3)))),
        tampered("B24", "gives what is rejected again", || {
            instead(|settle| matches!(settle, Settle::Reject(_)), Settle::Release)
        }),
        tampered("B24", "confirms what it does not send", || {
            only_answers(|answer| !matches!(answer.settle, Settle::Reject(_)))
        }),
        tampered("B24", "loses dead letters", || {
            let lose = |messages: Vec<Message>| {
                messages.into_iter().filter(|m| m.headers.get("Micro-Dead-Reason").is_none()).collect()
            };
            Tamper { publish: Some(Box::new(lose)), ..Tamper::default() }
        }),
        tampered("B24", "changes why a message is dead", || {
            on_messages(|message| {
                if message.headers.get("Micro-Dead-Reason").is_some() {
                    message.headers.set("Micro-Dead-Reason", "failed");
                }
            })
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
        tampered("B28", "takes an acknowledgement for all that is out", acknowledges_all),
        tampered("B28", "confirms acknowledgements that it loses", || {
            only_answers(|answer| answer.settle != Settle::Ack)
        }),
        tampered("B29", "confirms a second answer", || {
            let seen = Mutex::new(HashSet::new());
            let first = move |answers: Vec<Settlement>| {
                let mut seen = seen.lock().unwrap();
                answers.into_iter().filter(|answer| answer.token.0 == u64::MAX || seen.insert(answer.token)).collect()
            };
            Tamper { settle: Some(Box::new(first)), ..Tamper::default() }
        }),
        tampered("B29", "confirms what it never gave", || only_answers(|answer| answer.token.0 != u64::MAX)),
        tampered("B29", "panics at what it never gave", || {
            on_answers(|answer| assert_ne!(answer.token.0, u64::MAX, "on purpose"))
        }),
        tampered("B29", "takes the last answer of a call", || {
            let last = |mut answers: Vec<Settlement>| {
                answers.reverse();
                answers
            };
            Tamper { settle: Some(Box::new(last)), ..Tamper::default() }
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
        tampered("B33", "hands out one too many", || off_by(|limit| limit + 1)),
        tampered("B33", "hands out one too few", || off_by(|limit| limit - 1)),
        tampered("B33", "has no limit for a queue", || {
            let more = |mut options: SubscribeOptions| {
                options.in_flight = if options.queue.is_some() { 1000 } else { options.in_flight };
                options
            };
            Tamper { options: Some(Box::new(more)), ..Tamper::default() }
        }),
        tampered("B33", "forgets some that are out, after a while", forgets_some),
        tampered("B33", "counts what was released as out", || only_answers(|answer| answer.settle != Settle::Release)),
    ]
}

fn off_by(change: fn(usize) -> usize) -> Tamper {
    let other = move |mut options: SubscribeOptions| {
        options.in_flight = change(options.in_flight);
        options
    };
    Tamper { options: Some(Box::new(other)), ..Tamper::default() }
}

/// Acknowledges what was handed out with, or before, what is acknowledged.
fn acknowledges_all() -> Tamper {
    let out = Arc::new(Mutex::new(Vec::new()));
    let deliver = {
        let out = Arc::clone(&out);
        move |deliveries: Vec<Delivery>| {
            out.lock().unwrap().extend(deliveries.iter().map(Delivery::token));
            deliveries
        }
    };
    let settle = move |mut answers: Vec<Settlement>| {
        if answers.iter().any(|answer| answer.settle == Settle::Ack) {
            let all =
                out.lock().unwrap().drain(..).map(|token| Settlement::new(token, Settle::Ack, 0)).collect::<Vec<_>>();
            answers.extend(all);
        }
        answers
    };
    Tamper { deliver: Some(Box::new(deliver)), settle: Some(Box::new(settle)), ..Tamper::default() }
}

/// Of what is handed out after the first hundred, each tenth is out and not counted.
fn forgets_some() -> Tamper {
    let count = AtomicUsize::new(0);
    let deliver = move |deliveries: Vec<Delivery>| {
        for delivery in &deliveries {
            let number = count.fetch_add(1, Ordering::Relaxed);
            if number > 100 && number.is_multiple_of(10) {
                drop(delivery.settler().settle(vec![Settlement::new(delivery.token(), Settle::Ack, 0)]));
            }
        }
        deliveries
    };
    // Those that were settled already are confirmed all the same.
    let through = |answers: Vec<Settlement>| {
        let mut answers = answers;
        answers.push(Settlement::new(Token(u64::MAX), Settle::Ack, 0));
        answers
    };
    Tamper { deliver: Some(Box::new(deliver)), settle: Some(Box::new(through)), ..Tamper::default() }
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
