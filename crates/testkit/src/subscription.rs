//! The pulling side, with every delivery and every answer noted.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt;
use micro::Result;
use micro::broker::{
    Delivery, Origin, Outcomes, Queue, Settled, Settlement, Settler, Start, Subscription, Token, Topic,
};
use micro::{Error, Kind};

use crate::broker::Client;
use crate::journal::Group;

pub(crate) struct RecordedSubscription {
    inner: Box<dyn Subscription>,
    group: Group,
    client: Arc<Client>,
    /// Origins of the memory broker, one a topic, and those that stand in their place.
    origins: Vec<(Arc<Origin>, Arc<Origin>)>,
}

/// Takes the answers to the kit's tokens.
pub(crate) struct RecordedSettler {
    /// Of the deliveries as the memory broker made them.
    pub(crate) origin: Arc<Origin>,
    client: Arc<Client>,
}

impl RecordedSubscription {
    pub(crate) fn new(inner: Box<dyn Subscription>, group: Group, client: Arc<Client>) -> Self {
        Self { inner, group, client, origins: Vec::new() }
    }

    fn recorded(&mut self, delivery: Delivery) -> Delivery {
        let mut parts = delivery.into_parts();
        let token = self.client.journal.handed(self.client.id, &self.client.by, &self.group, &parts);
        let inner = &parts.origin;
        let known = self.origins.iter().find(|(known, _)| Arc::ptr_eq(known, inner)).map(|(_, origin)| origin);
        let origin = known.cloned().unwrap_or_else(|| {
            let settler = RecordedSettler { origin: Arc::clone(inner), client: Arc::clone(&self.client) };
            let origin = Origin::new(inner.topic.clone(), inner.queue.clone(), self.client.settler(settler));
            self.origins.push((Arc::clone(inner), Arc::clone(&origin)));
            origin
        });
        parts.origin = origin;
        parts.token = token;
        Delivery::from_parts(parts)
    }
}

#[async_trait]
impl Subscription for RecordedSubscription {
    fn topic(&self) -> Option<&Topic> {
        self.inner.topic()
    }

    fn queue(&self) -> Option<&Queue> {
        self.inner.queue()
    }

    async fn next(&mut self, max: usize) -> Result<Option<Vec<Delivery>>> {
        let Some(deliveries) = self.inner.next(max).await? else { return Ok(None) };
        Ok(Some(deliveries.into_iter().map(|delivery| self.recorded(delivery)).collect()))
    }

    async fn stop(&mut self) {
        self.inner.stop().await;
    }

    async fn unsubscribe(self: Box<Self>) -> Result<()> {
        self.inner.unsubscribe().await
    }

    async fn pause(&mut self) -> Result<()> {
        self.inner.pause().await
    }

    async fn resume(&mut self) -> Result<()> {
        self.inner.resume().await
    }

    async fn seek(&mut self, start: Start) -> Result<()> {
        self.inner.seek(start).await
    }
}

impl Settler for RecordedSettler {
    fn settle(&self, answers: Vec<Settlement>) -> Settled {
        if let Err(error) = self.client.alive() {
            return Outcomes::failed(answers.len(), &error);
        }
        let journal = &self.client.journal;
        let results = answers.into_iter().map(|answer| {
            let Some(inner) = journal.inner(answer.token) else {
                let text = "the delivery was settled already, or its service crashed";
                return Err(Error::new(Kind::Conflict, text).operation("broker.settle"));
            };
            let settle = answer.settle.clone();
            let inner = Settlement::new(inner, answer.settle, answer.attempts);
            let settled = self.client.on_clock(|| self.origin.settler.settle(vec![inner]));
            // Memory answers at once.
            let result = settled.first().now_or_never().unwrap_or(Ok(()));
            journal.settled(answer.token, &settle, result.is_ok());
            result
        });
        Outcomes::ready(results.collect())
    }

    fn extend(&self, tokens: &[Token]) {
        let inner: Vec<Token> = tokens.iter().filter_map(|token| self.client.journal.inner(*token)).collect();
        self.client.on_clock(|| self.origin.settler.extend(&inner));
    }
}

impl fmt::Debug for RecordedSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.inner, f)
    }
}

impl fmt::Debug for RecordedSettler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.origin.settler, f)
    }
}
