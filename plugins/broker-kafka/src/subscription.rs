use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use micro_core::broker::{Delivery, Queue, Start, Subscription, Topic};
use micro_core::{Error, Kind, Result};
use tokio::sync::oneshot;

use crate::error::closed;
use crate::member::{Member, Order, Phase};
use crate::pull::Pull;

/// How long leaving the group may take, beside the settling of what is out.
const LEAVE: Duration = Duration::from_secs(15);

/// The pulling side of one subscriber. Dropped, it leaves its queue when the last delivery is settled.
pub(crate) struct Pulling {
    member: Arc<Member>,
}

impl Pulling {
    pub(crate) fn new(member: Arc<Member>) -> Self {
        Self { member }
    }
}

#[async_trait]
impl Subscription for Pulling {
    fn topic(&self) -> Option<&Topic> {
        Some(&self.member.topic)
    }

    fn queue(&self) -> Option<&Queue> {
        self.member.queue.as_ref()
    }

    async fn next(&mut self, max: usize) -> Result<Option<Vec<Delivery>>> {
        loop {
            // A notification from between the look and the wait is kept.
            let arrived = self.member.arrived.notified();
            match self.member.pull(max.max(1)) {
                Pull::Some(deliveries) => return Ok(Some(deliveries)),
                Pull::End => return Ok(None),
                Pull::Failed(error) => return Err(error),
                Pull::Nothing(None) => arrived.await,
                Pull::Nothing(Some(at)) => tokio::select! {
                    () = arrived => {}
                    () = tokio::time::sleep_until(at.into()) => {}
                },
            }
        }
    }

    async fn stop(&mut self) {
        self.member.stop();
    }

    async fn unsubscribe(self: Box<Self>) -> Result<()> {
        let idle = {
            self.member.stop();
            self.member.lock().slots.len() == 0
        };
        let left = self.member.leave(self.member.lease);
        if !idle {
            // What is out may be settled yet, within the lease; it leaves for good with the last answer.
            return Ok(());
        }
        wait(&self.member, left).await
    }

    async fn pause(&mut self) -> Result<()> {
        self.member.lock().paused = true;
        Ok(())
    }

    async fn resume(&mut self) -> Result<()> {
        self.member.lock().paused = false;
        self.member.arrived.notify_one();
        Ok(())
    }

    async fn seek(&mut self, start: Start) -> Result<()> {
        let (answer, done) = oneshot::channel();
        {
            let mut state = self.member.lock();
            if state.phase != Phase::Live {
                return Err(closed().operation("subscription.seek"));
            }
            state.orders.push(Order::Seek(start, answer));
        }
        done.await.unwrap_or_else(|_| Err(closed().operation("subscription.seek")))
    }
}

/// Waits until a member has left.
pub(crate) async fn wait(member: &Member, left: oneshot::Receiver<Result<()>>) -> Result<()> {
    match tokio::time::timeout(LEAVE, left).await {
        Ok(outcome) => outcome.unwrap_or(Ok(())),
        Err(_) => Err(Error::new(
            Kind::Timeout,
            format!("the servers did not take the last answers within {LEAVE:?}; those messages come again"),
        )
        .operation("subscription.unsubscribe")
        .with("topic", &member.topic)
        .with("address", member.publisher.settings.address())),
    }
}

impl Drop for Pulling {
    fn drop(&mut self) {
        self.member.stop();
        // Nobody waits for it.
        drop(self.member.leave(self.member.lease));
    }
}

impl fmt::Debug for Pulling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.member, f)
    }
}
