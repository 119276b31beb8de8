use std::mem::take;

use async_trait::async_trait;
use micro_core::Result;
use micro_core::broker::{
    Broker, Delivery, Memory, Message, Outcomes, Receipt, Receipts, Settle, Settlement, Topic, Transaction,
};

use super::{Double, Tamper, tampered};

/// What an end does with what the transaction has; what it does not settle it gives back.
#[derive(Debug, Clone, Copy)]
struct End {
    publishes: bool,
    settles: bool,
}

const ALL: End = End { publishes: true, settles: true };
const NOTHING: End = End { publishes: false, settles: false };
const PUBLISHES: End = End { publishes: true, settles: false };
const SETTLES: End = End { publishes: false, settles: true };

/// What transactions do; right as it is made.
#[derive(Debug, Clone, Copy)]
struct Ends {
    at_once: bool,
    loses_one: bool,
    settles_one_less: bool,
    commit: End,
    abort: End,
    dropped: End,
}

impl Default for Ends {
    fn default() -> Self {
        let (commit, abort, dropped) = (ALL, NOTHING, NOTHING);
        Self { at_once: false, loses_one: false, settles_one_less: false, commit, abort, dropped }
    }
}

/// A transaction put together of what is none.
#[derive(Debug)]
struct Loose {
    memory: Memory,
    ends: Ends,
    messages: Vec<(Topic, Message)>,
    deliveries: Vec<Delivery>,
    ended: bool,
}

impl Loose {
    fn end(&mut self, end: End) {
        self.ended = true;
        let (messages, deliveries) = (take(&mut self.messages), take(&mut self.deliveries));
        if end.publishes {
            for (topic, message) in messages.into_iter().skip(usize::from(self.ends.loses_one)) {
                drop(self.memory.publish(&topic, vec![message]));
            }
        }
        if end.settles {
            for delivery in deliveries.into_iter().skip(usize::from(self.ends.settles_one_less)) {
                let parts = delivery.into_parts();
                drop(parts.origin.settler.settle(vec![Settlement::new(parts.token, Settle::Ack, 0)]));
            }
        }
    }
}

#[async_trait]
impl Transaction for Loose {
    fn publish(&mut self, topic: &Topic, messages: Vec<Message>) -> Receipts {
        if self.ends.at_once {
            return self.memory.publish(topic, messages);
        }
        let receipts = messages.iter().map(|_| Ok(Receipt::default())).collect();
        self.messages.extend(messages.into_iter().map(|message| (topic.clone(), message)));
        Outcomes::ready(receipts)
    }

    fn settle(&mut self, deliveries: Vec<Delivery>) -> Result<()> {
        self.deliveries.extend(deliveries);
        Ok(())
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        self.end(self.ends.commit);
        Ok(())
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        self.end(self.ends.abort);
        Ok(())
    }
}

impl Drop for Loose {
    fn drop(&mut self) {
        if !self.ended {
            self.end(self.ends.dropped);
        }
    }
}

fn ends(ends: Ends) -> Tamper {
    let loose = move |memory: Memory| -> Box<dyn Transaction> {
        Box::new(Loose { memory, ends, messages: Vec::new(), deliveries: Vec::new(), ended: false })
    };
    Tamper { transaction: Some(Box::new(loose)), ..Tamper::default() }
}

pub(super) fn doubles() -> Vec<Double> {
    vec![
        tampered("B129", "publishes at once", || ends(Ends { at_once: true, ..Ends::default() })),
        tampered("B129", "publishes when aborted", || ends(Ends { abort: PUBLISHES, ..Ends::default() })),
        tampered("B129", "settles when aborted", || ends(Ends { abort: SETTLES, ..Ends::default() })),
        tampered("B129", "publishes when dropped", || ends(Ends { dropped: PUBLISHES, ..Ends::default() })),
        tampered("B129", "settles when dropped", || ends(Ends { dropped: SETTLES, ..Ends::default() })),
        tampered("B129", "settles only", || ends(Ends { commit: SETTLES, ..Ends::default() })),
        tampered("B129", "publishes only", || ends(Ends { commit: PUBLISHES, ..Ends::default() })),
        tampered("B129", "loses one", || ends(Ends { loses_one: true, ..Ends::default() })),
        tampered("B129", "leaves one unsettled", || ends(Ends { settles_one_less: true, ..Ends::default() })),
    ]
}
