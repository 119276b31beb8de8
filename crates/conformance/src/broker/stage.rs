use std::sync::Arc;
use std::time::{Duration, Instant};

use micro_core::broker::{
    Broker, Capability, Delivery, Message, Queue, Receipt, SubscribeOptions, Subscription, Topic,
};
use tokio::time::timeout;

use super::{Counted, Fixture, Guarded, Limits, Server};
use crate::Failed;
use crate::scale::scale;

/// Where a case runs: fresh names, clients of the plugin, and waiting with a limit.
#[derive(Debug, Clone)]
pub struct Stage {
    fixture: Arc<dyn Fixture>,
    /// Makes the names of this run its own.
    run: String,
}

impl Stage {
    pub(super) fn new(fixture: Arc<dyn Fixture>, case: &str) -> Self {
        let random = uuid::Uuid::new_v4().simple().to_string();
        Self { fixture, run: format!("{}-{}", case.to_lowercase(), &random[..12]) }
    }

    /// Returns what the plugin declares.
    #[must_use]
    pub fn capability(&self) -> Capability {
        self.fixture.client().capability()
    }

    /// Returns how long to wait.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let limits = self.fixture.limits();
        limits.present(limits.present * u32::try_from(scale()).unwrap_or(1))
    }

    /// Returns how many of something there are at the scale of this run (`MICRO_TEST_SCALE`).
    #[must_use]
    pub fn scaled(&self, count: usize) -> usize {
        count * scale()
    }

    /// Returns a topic that only this run has.
    ///
    /// # Panics
    ///
    /// If `what` has a character that topics have not.
    #[must_use]
    pub fn topic(&self, what: &str) -> Topic {
        Topic::new(format!("c-{}-{what}", self.run)).expect("a case's topic keeps the rule")
    }

    /// Returns a queue that only this run has.
    ///
    /// # Panics
    ///
    /// If `what` has a character that queues have not.
    #[must_use]
    pub fn queue(&self, what: &str) -> Queue {
        Queue::new(format!("q-{}-{what}", self.run)).expect("a case's queue keeps the rule")
    }

    /// Makes a client that is not connected.
    #[must_use]
    pub fn new_client(&self) -> Arc<dyn Broker> {
        self.fixture.client()
    }

    /// Makes a client and connects it.
    ///
    /// # Errors
    ///
    /// If it does not connect in time.
    pub async fn client(&self) -> Result<Arc<dyn Broker>, Failed> {
        let client = self.fixture.client();
        self.present("connect", client.connect()).await??;
        Ok(client)
    }

    /// Starts a server for this case alone.
    ///
    /// # Errors
    ///
    /// If the fixture has none.
    pub async fn server(&self) -> Result<Arc<dyn Server>, Failed> {
        let fixture = Arc::clone(&self.fixture);
        let started = tokio::task::spawn_blocking(move || fixture.server()).await;
        started.ok().flatten().ok_or_else(|| Failed::new("the fixture could start no server"))
    }

    /// Returns how many nodes such a server has.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.fixture.nodes()
    }

    /// Makes a client of an address where nobody listens.
    ///
    /// # Errors
    ///
    /// If the fixture has none.
    pub fn nobody(&self) -> Result<Arc<dyn Broker>, Failed> {
        self.fixture.nobody().ok_or_else(|| Failed::new("the fixture has no address where nobody listens"))
    }

    /// Makes a client whose consumers can be counted.
    ///
    /// # Errors
    ///
    /// If the fixture has none.
    pub fn counted(&self) -> Result<Arc<dyn Counted>, Failed> {
        self.fixture.counted().ok_or_else(|| Failed::new("the fixture cannot count consumers"))
    }

    /// Makes a client that may not make topics, where the fixture has one.
    #[must_use]
    pub fn strict(&self) -> Option<Arc<dyn Broker>> {
        self.fixture.strict()
    }

    /// Returns a server that asks for an account, where the fixture has one.
    #[must_use]
    pub fn guarded(&self) -> Option<Arc<dyn Guarded>> {
        self.fixture.guarded()
    }

    /// Waits for what must come.
    ///
    /// # Errors
    ///
    /// If it did not in time.
    pub async fn present<T>(&self, what: &str, future: impl Future<Output = T>) -> Result<T, Failed> {
        let limit = self.limits().present;
        timeout(limit, future).await.map_err(|_| Failed::new(format!("{what}: not within {limit:?}")))
    }

    /// Subscribes.
    ///
    /// # Errors
    ///
    /// If it cannot, or not in time.
    pub async fn subscribe(
        &self,
        broker: &Arc<dyn Broker>,
        topic: &Topic,
        options: SubscribeOptions,
    ) -> Result<Box<dyn Subscription>, Failed> {
        Ok(self.present("subscribe", broker.subscribe(topic, options)).await??)
    }

    /// Publishes and waits for all receipts.
    ///
    /// # Errors
    ///
    /// If one is missing or an error.
    pub async fn publish(
        &self,
        broker: &Arc<dyn Broker>,
        topic: &Topic,
        messages: Vec<Message>,
    ) -> Result<Vec<Receipt>, Failed> {
        let count = messages.len();
        let receipts = self.present("receipts", broker.publish(topic, messages).all()).await??;
        if receipts.len() != count {
            return Err(Failed::new(format!("{} receipts for {count} messages", receipts.len())));
        }
        Ok(receipts)
    }

    /// Takes so many deliveries, unsettled, and not one more than asked for.
    ///
    /// # Errors
    ///
    /// If fewer come in time, more come at once than were asked for, or the subscription ends.
    pub async fn take(&self, subscription: &mut Box<dyn Subscription>, count: usize) -> Result<Vec<Delivery>, Failed> {
        let mut taken: Vec<Delivery> = Vec::new();
        let until = Instant::now() + self.limits().present;
        while taken.len() < count {
            let max = count - taken.len();
            let next = timeout(until.saturating_duration_since(Instant::now()), subscription.next(max)).await;
            let Ok(next) = next else {
                return Err(Failed::new(format!("{} of {count} messages came in time", taken.len())));
            };
            let Some(deliveries) = next? else {
                return Err(Failed::new(format!("the subscription ended after {} of {count} messages", taken.len())));
            };
            if deliveries.is_empty() || deliveries.len() > max {
                return Err(Failed::new(format!("{} messages came where 1 to {max} were asked for", deliveries.len())));
            }
            taken.extend(deliveries);
        }
        Ok(taken)
    }

    /// Takes one delivery.
    ///
    /// # Errors
    ///
    /// As [`take`](Self::take).
    pub async fn take_one(&self, subscription: &mut Box<dyn Subscription>) -> Result<Delivery, Failed> {
        let mut taken = self.take(subscription, 1).await?;
        taken.pop().ok_or_else(|| Failed::new("nothing came"))
    }

    /// Takes so many deliveries and acknowledges each; returns their bodies as numbers.
    ///
    /// # Errors
    ///
    /// As [`take`](Self::take), or if a body is no number.
    pub async fn drain(&self, subscription: &mut Box<dyn Subscription>, count: usize) -> Result<Vec<usize>, Failed> {
        let mut numbers = Vec::with_capacity(count);
        while numbers.len() < count {
            // No more than a subscription has out when it does not say.
            let most = SubscribeOptions::new().in_flight;
            for delivery in self.take(subscription, most.min(count - numbers.len())).await? {
                numbers.push(number(&delivery)?);
                self.present("the answer's confirmation", delivery.ack()).await??;
            }
        }
        Ok(numbers)
    }

    /// Checks that nothing comes.
    ///
    /// # Errors
    ///
    /// If something does.
    pub async fn silence(&self, subscription: &mut Box<dyn Subscription>) -> Result<(), Failed> {
        self.silence_for(subscription, self.limits().absent).await
    }

    /// Checks that nothing comes for so long.
    ///
    /// # Errors
    ///
    /// If something does.
    pub async fn silence_for(&self, subscription: &mut Box<dyn Subscription>, window: Duration) -> Result<(), Failed> {
        match timeout(window, subscription.next(1)).await {
            Err(_) | Ok(Ok(None)) => Ok(()),
            Ok(Ok(Some(deliveries))) => {
                let bodies: Vec<_> =
                    deliveries.iter().map(|d| String::from_utf8_lossy(d.body()).into_owned()).collect();
                Err(Failed::new(format!("what must not come did: {bodies:?}")))
            }
            Ok(Err(error)) => Err(error.into()),
        }
    }
}

/// Messages whose bodies are their numbers.
pub(super) fn numbered(numbers: std::ops::Range<usize>) -> Vec<Message> {
    numbers.map(|number| Message::new(number.to_string())).collect()
}

/// The number in a body.
pub(super) fn number(delivery: &Delivery) -> Result<usize, Failed> {
    let text = String::from_utf8_lossy(delivery.body());
    text.parse().map_err(|_| Failed::new(format!("a body came that was not published here: {text:?}")))
}
