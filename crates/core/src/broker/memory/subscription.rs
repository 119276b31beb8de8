use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::client::Client;
use super::group::Taken;
use super::topic::Shared;
use crate::broker::{
    Delivery, DeliveryParts, Origin, Outcomes, Queue, Settled, Settlement, Settler, Start, Subscription, Token, Topic,
};
use crate::{Error, Result};

/// The pulling side of one member.
pub(super) struct MemorySubscription {
    place: Place,
    notify: Arc<Notify>,
    stopped: bool,
}

/// A seat, and what its deliveries say of where they come from.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) seat: Arc<Seat>,
    origin: Arc<Origin>,
}

/// A member's place, which its deliveries share.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) client: Arc<Client>,
    pub(super) topic: Arc<Shared>,
    pub(super) group: u64,
    pub(super) member: u64,
}

impl Place {
    pub(super) fn new(seat: Seat, queue: Option<Queue>) -> Self {
        let seat = Arc::new(seat);
        seat.client.seated(&seat);
        let settler: Arc<dyn Settler> = Arc::<Seat>::clone(&seat);
        let origin = Origin::new(seat.topic.name.clone(), queue, settler);
        Self { seat, origin }
    }

    pub(super) fn delivery(&self, taken: Taken) -> Delivery {
        let Taken { token, record, attempts, deliveries } = taken;
        let capability = self.seat.client.capability();
        let mut parts = DeliveryParts::new(Arc::clone(&self.origin), record.message.clone(), token);
        parts.id = match record.message.headers.get_bytes("Micro-Id") {
            Some(id) => id.clone(),
            None => Bytes::from(record.position().to_string()),
        };
        parts.attempts = if capability.attempts { attempts } else { 0 };
        parts.deliveries = capability.deliveries.then_some(deliveries);
        parts.published = Some(record.published);
        parts.position = Some(record.position());
        Delivery::from_parts(parts)
    }
}

impl MemorySubscription {
    pub(super) fn new(seat: Seat, queue: Option<Queue>, notify: Arc<Notify>) -> Self {
        Self { place: Place::new(seat, queue), notify, stopped: false }
    }

    fn seat(&self) -> &Seat {
        &self.place.seat
    }

    fn leave(&mut self) {
        if !std::mem::replace(&mut self.stopped, true) {
            let seat = self.seat();
            seat.topic.lock().leave(seat.group, seat.member, false, Instant::now());
            seat.client.left(seat.member);
        }
    }
}

/// Says that a member waits no more when its waiting is dropped, so that its wake-up is not lost on the others.
struct Waiting<'a>(Option<&'a Seat>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(seat) = self.0
            && let Some(group) = seat.topic.lock().group(seat.group)
        {
            group.give_up(seat.member);
        }
    }
}

#[async_trait]
impl Subscription for MemorySubscription {
    fn topic(&self) -> Option<&Topic> {
        Some(&self.seat().topic.name)
    }

    fn queue(&self) -> Option<&Queue> {
        self.place.origin.queue.as_ref()
    }

    async fn next(&mut self, max: usize) -> Result<Option<Vec<Delivery>>> {
        let seat = self.seat();
        let had_its_turn = seat.topic.lock().group(seat.group).is_some_and(|group| group.had_its_turn(seat.member));
        if had_its_turn {
            // A member that never waits would leave nothing to one that shares its thread.
            tokio::task::yield_now().await;
        }
        loop {
            if self.stopped || !seat.client.is_open() {
                return Ok(None);
            }
            let now = Instant::now();
            let answer = seat.topic.lock().take(seat.group, seat.member, max.max(1), now);
            let Some((taken, due)) = answer else { return Ok(None) };
            if !taken.is_empty() {
                return Ok(Some(taken.into_iter().map(|taken| self.place.delivery(taken)).collect()));
            }
            let mut waiting = Waiting(Some(seat));
            match due {
                None => self.notify.notified().await,
                Some(due) => tokio::select! {
                    () = self.notify.notified() => {}
                    () = tokio::time::sleep_until(due) => {}
                },
            }
            waiting.0 = None;
        }
    }

    async fn stop(&mut self) {
        self.leave();
    }

    async fn unsubscribe(mut self: Box<Self>) -> Result<()> {
        self.leave();
        Ok(())
    }

    async fn pause(&mut self) -> Result<()> {
        self.set_paused(true)
    }

    async fn resume(&mut self) -> Result<()> {
        self.set_paused(false)
    }

    async fn seek(&mut self, start: Start) -> Result<()> {
        let seat = self.seat();
        if !seat.client.capability().seek {
            return Err(Error::unsupported("memory", "seeking"));
        }
        seat.client.check_open()?;
        seat.topic.lock().seek(seat.group, start, Instant::now())
    }
}

impl MemorySubscription {
    fn set_paused(&self, paused: bool) -> Result<()> {
        let seat = self.seat();
        if !seat.client.capability().pause {
            return Err(Error::unsupported("memory", "pausing a subscription"));
        }
        seat.client.check_open()?;
        if let Some(group) = seat.topic.lock().group(seat.group) {
            group.pause(seat.member, paused);
        }
        Ok(())
    }
}

impl Drop for MemorySubscription {
    fn drop(&mut self) {
        self.leave();
    }
}

impl fmt::Debug for MemorySubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("topic", &self.seat().topic.name)
            .field("queue", &self.place.origin.queue)
            .field("stopped", &self.stopped)
            .finish()
    }
}

impl Settler for Seat {
    fn settle(&self, answers: Vec<Settlement>) -> Settled {
        if let Err(error) = self.client.check_open() {
            return Outcomes::failed(answers.len(), &error);
        }
        Outcomes::ready(self.topic.lock().settle(self.group, self.member, &answers, Instant::now()))
    }

    fn extend(&self, tokens: &[Token]) {
        if let Some(group) = self.topic.lock().group(self.group) {
            group.extend(self.member, tokens, Instant::now());
        }
    }
}
