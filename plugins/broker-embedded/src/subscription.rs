use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use micro_core::Result;
use micro_core::broker::{Delivery, Outcomes, Queue, Settled, Start, Subscription, Topic};
use tokio::sync::oneshot;

use crate::cursor::Cursor;
use crate::error::closed;
use crate::job::Job;
use crate::member::{Member, Phase, Pull};
use crate::share::Share;

/// The pulling side of one subscriber. Dropped, it leaves its queue when the last delivery is settled.
pub(crate) struct Pulling {
    member: Arc<Member>,
}

impl Pulling {
    pub(crate) fn new(member: Arc<Member>) -> Self {
        Self { member }
    }

    fn is_owned(&self) -> bool {
        self.member.queue.is_some()
    }
}

#[async_trait]
impl Subscription for Pulling {
    fn topic(&self) -> Option<&Topic> {
        Some(&self.member.topic)
    }

    fn queue(&self) -> Option<&Queue> {
        self.member.queue.as_ref().map(|(queue, _)| queue)
    }

    async fn next(&mut self, max: usize) -> Result<Option<Vec<Delivery>>> {
        loop {
            match self.member.pull(max.max(1)) {
                Pull::Some(deliveries) => return Ok(Some(deliveries)),
                Pull::End => return Ok(None),
                Pull::Failed(error) => return Err(error),
                Pull::Nothing => self.member.wait().await,
            }
        }
    }

    async fn stop(&mut self) {
        self.member.stop(false);
    }

    async fn unsubscribe(self: Box<Self>) -> Result<()> {
        if !self.member.stop(true) {
            // What is out may be settled yet, within the lease; it leaves for good with the last answer.
            return self.member.folder.flush().await;
        }
        let (left, promise): (Settled, _) = Outcomes::pending(1);
        self.member.folder.push(Job::Leave { member: Arc::clone(&self.member), promise: Some(promise) });
        left.first().await
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
        let folder = &self.member.folder;
        let (reply, found) = oneshot::channel();
        folder.push(Job::Find {
            topic: self.member.topic.clone(),
            start,
            settings: Arc::clone(&folder.settings),
            outcome: None,
            reply: Some(reply),
        });
        let found = found.await.map_err(|_| closed())??;
        let mut state = self.member.lock();
        for (partition, offset) in found.offsets {
            let generation = state.next_generation();
            if let Some(share) = state.shares.get_mut(&partition) {
                let cursor = Cursor::at(offset);
                let mut moved =
                    Share::new(partition, share.epoch, generation, cursor, self.member.ordered, self.is_owned());
                moved.draining = share.draining;
                moved.touch();
                *share = moved;
            }
        }
        drop(state);
        if self.is_owned() {
            folder.push(Job::Mark { member: Arc::clone(&self.member) });
        }
        folder.signal();
        Ok(())
    }
}

impl Drop for Pulling {
    fn drop(&mut self) {
        if self.member.stop(true) && self.member.lock().phase == Phase::Stopped {
            self.member.leave();
        }
    }
}

impl fmt::Debug for Pulling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.member, f)
    }
}
