use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::subscription::Seat;
use super::topic::Shared;
use super::world::World;
use crate::broker::{BrokerOptions, Capability, Settler};
use crate::{Error, Kind, Result};

/// How long a disconnect waits for what is queued, and a commit for room.
pub(super) const FLUSH_LIMIT: Duration = Duration::from_secs(5);

/// One user of a world: what another broker would call a connection.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) world: Arc<World>,
    pub(super) capability: Mutex<Capability>,
    pub(super) options: Mutex<BrokerOptions>,
    open: AtomicBool,
    was_open: AtomicBool,
    limit: AtomicUsize,
    backlog: AtomicUsize,
    room: Notify,
    members: Mutex<HashMap<u64, Joined>>,
    /// By address, the seats that subscriptions or deliveries still use. A weak reference keeps an address taken.
    seats: Mutex<HashMap<usize, Weak<Seat>>>,
}

/// A subscription of a client. One that left stays here while it may hold deliveries.
#[derive(Debug)]
struct Joined {
    topic: Arc<Shared>,
    group: u64,
    left: bool,
}

impl Client {
    pub(super) fn new(world: Arc<World>, capability: Capability, options: BrokerOptions, open: bool) -> Self {
        Self {
            world,
            capability: Mutex::new(capability),
            options: Mutex::new(options),
            open: AtomicBool::new(open),
            was_open: AtomicBool::new(open),
            limit: AtomicUsize::new(super::LIMIT),
            backlog: AtomicUsize::new(0),
            room: Notify::new(),
            members: Mutex::default(),
            seats: Mutex::default(),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    pub(super) fn capability(&self) -> Capability {
        *self.capability.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn options(&self) -> BrokerOptions {
        self.options.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// What is not declared is held for as long as its member lives.
    pub(super) fn lease(&self, asked: Duration) -> Duration {
        if self.capability().lease { asked } else { Duration::MAX }
    }

    pub(super) fn connect(&self) -> Result<()> {
        let address = self.options().address;
        self.limit.store(address.parsed("limit")?.unwrap_or(super::LIMIT).max(1), Ordering::Relaxed);
        self.capability.lock().unwrap_or_else(PoisonError::into_inner).max_body = address.parsed("max_body")?;
        self.was_open.store(true, Ordering::Release);
        self.open.store(true, Ordering::Release);
        Ok(())
    }

    /// Refuses to go on once disconnected.
    pub(super) fn check_open(&self) -> Result<()> {
        if self.is_open() {
            return Ok(());
        }
        Err(Error::new(
            Kind::Closed,
            match self.was_open.load(Ordering::Acquire) {
                true => "the memory broker was disconnected; connect it again to go on",
                false => "the memory broker is not connected; call connect first",
            },
        ))
    }

    pub(super) fn backlog(&self) -> usize {
        self.backlog.load(Ordering::Acquire)
    }

    pub(super) fn waiting(&self, messages: usize) {
        self.backlog.fetch_add(messages, Ordering::AcqRel);
    }

    pub(super) fn waiting_no_more(&self, messages: usize) {
        let before = self.backlog.fetch_sub(messages, Ordering::AcqRel);
        let after = before - messages;
        if after == 0 || (before >= super::READY && after < super::READY) {
            self.room.notify_waiters();
        }
    }

    /// Waits until fewer than so many messages wait for room.
    pub(super) async fn room(&self, below: usize, needs_open: bool) -> Result<()> {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            if needs_open {
                self.check_open()?;
            }
            if self.backlog() < below {
                return Ok(());
            }
            room.await;
        }
    }

    pub(super) fn joined(&self, member: u64, topic: Arc<Shared>, group: u64) {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.retain(|member, joined| !joined.left || joined.topic.lock().has(joined.group, *member));
        members.insert(member, Joined { topic, group, left: false });
    }

    /// Notes a seat, for [`seat`](Self::seat).
    pub(super) fn seated(&self, seat: &Arc<Seat>) {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        seats.retain(|_, seat| seat.strong_count() > 0);
        seats.insert(Arc::as_ptr(seat).addr(), Arc::downgrade(seat));
    }

    /// Returns the seat that takes these answers, if it is one of this client.
    pub(super) fn seat(&self, settler: &Arc<dyn Settler>) -> Option<Arc<Seat>> {
        let seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        seats.get(&Arc::as_ptr(settler).addr())?.upgrade()
    }

    pub(super) fn left(&self, member: u64) {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(joined) = members.get_mut(&member) {
            joined.left = true;
        }
    }

    /// Ends the subscriptions, then waits for what is queued.
    pub(super) async fn disconnect(&self) -> Result<()> {
        if !self.open.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        self.room.notify_waiters();
        self.world.requests.close(self);
        self.world.unfollow(self);
        let members = std::mem::take(&mut *self.members.lock().unwrap_or_else(PoisonError::into_inner));
        for (member, Joined { topic, group, .. }) in members {
            topic.lock().leave(group, member, true, Instant::now());
        }
        if self.backlog() == 0 || tokio::time::timeout(FLUSH_LIMIT, self.room(1, false)).await.is_ok() {
            return Ok(());
        }
        let lost: usize = self.world.topics().iter().map(|topic| topic.lock().abandon(self)).sum();
        if lost == 0 {
            return Ok(());
        }
        Err(Error::new(
            Kind::Timeout,
            format!(
                "{lost} queued messages found no room within {FLUSH_LIMIT:?}, because a subscriber is too far behind; \
                 stop that subscriber or raise ?limit="
            ),
        )
        .operation("broker.disconnect"))
    }
}
