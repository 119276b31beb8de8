//! Transactions: what they did is noted when they are committed.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt;
use micro::broker::{Delivery, Message, Outcomes, Receipts, Settle, Token, Topic, Transaction};
use micro::{Error, Kind, Result};

use crate::broker::Client;

pub(crate) struct RecordedTransaction {
    inner: Option<Box<dyn Transaction>>,
    client: Arc<Client>,
    published: Vec<(Topic, Message)>,
    taken: Vec<Token>,
    refused: u32,
}

impl RecordedTransaction {
    pub(crate) fn new(inner: Box<dyn Transaction>, client: Arc<Client>) -> Self {
        Self { inner: Some(inner), client, published: Vec::new(), taken: Vec::new(), refused: 0 }
    }

    fn note(&mut self, settle: &Settle) {
        for token in self.taken.drain(..) {
            self.client.journal.settled(token, settle, true);
        }
    }

    fn over() -> Error {
        Error::new(Kind::Closed, "the transaction has ended")
    }
}

#[async_trait]
impl Transaction for RecordedTransaction {
    fn publish(&mut self, topic: &Topic, messages: Vec<Message>) -> Receipts {
        let mut results = Vec::with_capacity(messages.len());
        for message in messages {
            let result = match (self.client.refuse(topic), &mut self.inner) {
                (Err(error), _) => {
                    self.refused += 1;
                    Err(error)
                }
                (Ok(()), Some(inner)) => {
                    let receipt = inner.publish(topic, vec![message.clone()]).first().now_or_never();
                    receipt.unwrap_or_else(|| Ok(Default::default()))
                }
                (Ok(()), None) => Err(Self::over()),
            };
            if result.is_ok() {
                self.published.push((topic.clone(), message));
            }
            results.push(result);
        }
        Outcomes::ready(results)
    }

    fn settle(&mut self, deliveries: Vec<Delivery>) -> Result<()> {
        let inner = self.inner.as_mut().ok_or_else(Self::over)?;
        let unwrapped: Option<Vec<_>> = deliveries.iter().map(|delivery| self.client.unwrapped(delivery)).collect();
        let Some(unwrapped) = unwrapped else {
            let text = "a delivery that is of no queue of this broker cannot be settled in its transaction";
            return Err(Error::new(Kind::InvalidArgument, text).operation("transaction.settle"));
        };
        let tokens: Vec<Token> = deliveries.iter().map(Delivery::token).collect();
        // The one that memory knows is answered from here on.
        deliveries.into_iter().for_each(|mut delivery| delivery.disarm());
        let taken = self.client.on_clock(|| inner.settle(unwrapped));
        match &taken {
            Ok(()) => self.taken.extend(tokens),
            Err(_) => tokens.iter().for_each(|token| self.client.journal.settled(*token, &Settle::Release, true)),
        }
        taken
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        self.client.alive()?;
        let inner = self.inner.take().ok_or_else(Self::over)?;
        if self.refused > 0 {
            let text = format!("nothing was done: {} messages were refused; their receipts say why", self.refused);
            inner.abort().await?;
            self.note(&Settle::Release);
            return Err(Error::new(Kind::FailedPrecondition, text).operation("transaction.commit"));
        }
        let done = inner.commit().await;
        match &done {
            Ok(()) => {
                for (topic, message) in std::mem::take(&mut self.published) {
                    self.client.journal.published(&self.client.by, &topic, [message]);
                }
                self.note(&Settle::Ack);
            }
            Err(_) => self.note(&Settle::Release),
        }
        done
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        let inner = self.inner.take().ok_or_else(Self::over)?;
        let done = inner.abort().await;
        self.note(&Settle::Release);
        done
    }
}

impl Drop for RecordedTransaction {
    fn drop(&mut self) {
        self.inner = None;
        self.note(&Settle::Release);
    }
}

impl fmt::Debug for RecordedTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.inner, f)
    }
}
