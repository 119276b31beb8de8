use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::client::Client;
use super::group::{Group, Member, Taken};
use super::later;
use super::log::{Log, Place};
use crate::broker::{Message, Promise, Queue, Receipt, Settlement, Start, Token, Topic};
use crate::{Error, Kind, Result};

/// A topic of a world, behind one lock.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) name: Topic,
    state: Mutex<State>,
}

/// The messages of a topic, its queues, and what waits to get in.
#[derive(Debug)]
pub(super) struct State {
    name: Topic,
    log: Log,
    groups: HashMap<u64, Group>,
    queues: HashMap<Queue, u64>,
    delayed: BTreeMap<(Instant, u64), Message>,
    delays: u64,
    blocked: VecDeque<Blocked>,
    /// Those whose transaction filled the topic, each with its limit.
    full: Vec<(usize, Arc<Notify>)>,
}

/// A published message for which there is no room yet.
#[derive(Debug)]
struct Blocked {
    message: Message,
    entry: usize,
    promise: Arc<Promise<Receipt>>,
    client: Arc<Client>,
}

impl Shared {
    pub(super) fn new(name: Topic) -> Self {
        let state = State {
            name: name.clone(),
            log: Log::default(),
            groups: HashMap::new(),
            queues: HashMap::new(),
            delayed: BTreeMap::new(),
            delays: 0,
            blocked: VecDeque::new(),
            full: Vec::new(),
        };
        Self { name, state: Mutex::new(state) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Returns how many messages may come in at once, so that no live subscriber is left too far behind.
    pub(super) fn room(&mut self, client: &Client) -> usize {
        if !self.blocked.is_empty() {
            return 0;
        }
        self.space(client.limit())
    }

    /// Tells whether somebody subscribes.
    pub(super) fn live(&self) -> bool {
        self.groups.values().any(Group::live)
    }

    fn space(&mut self, limit: usize) -> usize {
        self.trim(limit);
        let live = || self.groups.values().filter(|group| group.live());
        if self.log.bytes() >= super::MAX_BYTES && live().any(|group| group.cursor() <= self.log.base()) {
            return 0;
        }
        live().map(|group| limit.saturating_sub(group.lag(&self.log))).min().unwrap_or(usize::MAX)
    }

    /// Drops the oldest messages over the limit, but none that a live subscriber has still to read.
    fn trim(&mut self, limit: usize) {
        while self.log.len() > limit || self.log.bytes() >= super::MAX_BYTES {
            let base = self.log.base();
            if self.groups.values().any(|group| group.live() && group.cursor() <= base) {
                return;
            }
            let Some(seq) = self.log.pop() else { return };
            for group in self.groups.values_mut() {
                group.dropped(seq, &self.name);
            }
        }
    }

    /// Puts a message in its place.
    pub(super) fn append(&mut self, message: Message, wall: SystemTime, now: Instant, limit: usize) -> Result<Receipt> {
        let Some(options) = message.options() else {
            return Ok(Receipt::at(self.log.append(message, wall, now)));
        };
        if let Some(position) = self.log.duplicate(&message, now) {
            return Ok(Receipt { position });
        }
        let id = options.deduplication_id.clone();
        let position = match options.delay.filter(|delay| !delay.is_zero()) {
            Some(delay) => {
                self.check_delayed(1, limit).map_err(|error| error.operation("broker.publish"))?;
                self.delays += 1;
                self.delayed.insert((later(now, delay), self.delays), message);
                // Somebody has to look at the clock.
                self.groups.values_mut().for_each(|group| group.wake(1));
                None
            }
            None => Some(self.log.append(message, wall, now)),
        };
        self.log.remember(id, position, now);
        Ok(Receipt { position })
    }

    /// Refuses more delayed messages than may wait.
    fn check_delayed(&self, more: usize, limit: usize) -> Result<()> {
        if self.delayed.len() + more <= limit {
            return Ok(());
        }
        let text =
            format!("more than {limit} delayed messages would wait on this topic; publish later or raise ?limit=");
        Err(Error::new(Kind::ResourceExhausted, text).with("topic", &self.name))
    }

    /// Refuses messages of which [`append`](Self::append) would refuse some.
    pub(super) fn check_all(&self, messages: &[Message], limit: usize) -> Result<()> {
        let delay = |message: &Message| message.options().and_then(|options| options.delay);
        match messages.iter().filter(|message| delay(message).is_some_and(|delay| !delay.is_zero())).count() {
            0 => Ok(()),
            delayed => self.check_delayed(delayed, limit),
        }
    }

    /// Returns what hears when no live subscriber is too far behind; `None` if none is.
    pub(super) fn full(&mut self, limit: usize) -> Option<Arc<Notify>> {
        if self.space(limit) > 0 {
            return None;
        }
        // Whoever waited for others may have given up.
        self.full.retain(|(_, room)| Arc::strong_count(room) > 1);
        let room = Arc::new(Notify::new());
        self.full.push((limit, Arc::clone(&room)));
        Some(room)
    }

    /// Lets the subscribers know of new messages, and keeps the log within its limit.
    pub(super) fn appended(&mut self, messages: usize, limit: usize) {
        for group in self.groups.values_mut() {
            group.wake(messages);
        }
        self.trim(limit);
    }

    /// Keeps a message until there is room.
    pub(super) fn block(
        &mut self,
        message: Message,
        entry: usize,
        promise: Arc<Promise<Receipt>>,
        client: Arc<Client>,
    ) {
        client.waiting(1);
        self.blocked.push_back(Blocked { message, entry, promise, client });
    }

    /// Lets in what waits, as far as there is room now.
    pub(super) fn admit(&mut self, now: Instant) {
        while let Some(first) = self.blocked.front() {
            let limit = first.client.limit();
            let space = self.space(limit);
            if space == 0 {
                return;
            }
            let wall = SystemTime::now();
            let batch = self.blocked.len().min(space);
            for Blocked { message, entry, promise, client } in self.blocked.drain(..batch).collect::<Vec<_>>() {
                promise.complete(entry, self.append(message, wall, now, limit));
                client.waiting_no_more(1);
            }
            self.appended(batch, limit);
        }
    }

    /// Gives up what one client has waiting; its receipts say that it was closed.
    pub(super) fn abandon(&mut self, client: &Client) -> usize {
        let before = self.blocked.len();
        self.blocked.retain(|blocked| !std::ptr::eq(Arc::as_ptr(&blocked.client), client));
        let gone = before - self.blocked.len();
        client.waiting_no_more(gone);
        gone
    }

    /// Adds a member and returns its group. `start` counts where the group is new.
    pub(super) fn join(
        &mut self,
        queue: Option<&Queue>,
        start: Option<Start>,
        id: u64,
        member: Member,
        now: Instant,
    ) -> Result<u64> {
        self.due(now);
        self.sweep(now);
        if let Some(group) = queue.and_then(|queue| self.queues.get(queue))
            && let Some(state) = self.groups.get_mut(group)
        {
            state.join(id, member);
            return Ok(*group);
        }
        let default = if queue.is_some() { self.log.base() } else { self.log.next() };
        let place = start.map(|start| self.log.find(start)).transpose()?;
        let mut group = Group::new(queue.cloned(), default);
        if let Some(place) = place {
            group.seek(place);
        }
        group.join(id, member);
        if let Some(queue) = queue {
            self.queues.insert(queue.clone(), id);
        }
        self.groups.insert(id, group);
        Ok(id)
    }

    /// Forgets subscribers without a queue that left and hold nothing.
    fn sweep(&mut self, now: Instant) {
        for group in self.groups.values_mut() {
            group.due(now);
        }
        self.groups.retain(|_, group| !group.finished());
    }

    /// Lets the delayed messages appear whose time has come.
    fn due(&mut self, now: Instant) {
        let mut appeared = 0;
        while let Some(entry) = self.delayed.first_entry()
            && entry.key().0 <= now
        {
            let message = entry.remove();
            self.log.append(message, SystemTime::now(), now);
            appeared += 1;
        }
        if appeared > 0 {
            self.groups.values_mut().for_each(|group| group.wake(appeared));
        }
    }

    /// Hands out to a member, or notes that it waits; `None` if it is no member any more.
    ///
    /// With an empty list comes the time at which it must ask again, if it hears nothing before.
    pub(super) fn take(
        &mut self,
        group: u64,
        id: u64,
        max: usize,
        now: Instant,
    ) -> Option<(Vec<Taken>, Option<Instant>)> {
        self.due(now);
        let delayed = self.delayed.first_key_value().map(|((at, _), _)| *at);
        let group = self.groups.get_mut(&group).filter(|group| group.has(id))?;
        let taken = group.take(id, max, &self.log, now);
        if !taken.is_empty() {
            return Some((taken, None));
        }
        group.wait(id);
        Some((taken, [group.next_due(), delayed].into_iter().flatten().min()))
    }

    /// Returns how many subscriptions are open.
    pub(super) fn open(&self) -> usize {
        self.groups.values().map(Group::open).sum()
    }

    /// Notes that a member waits until one that it has is settled, brings back what is due, and returns how many it has,
    /// with the time of what is due next; `None` if it is no member any more.
    pub(super) fn stand(&mut self, group: u64, id: u64, now: Instant) -> Option<(usize, Option<Instant>)> {
        self.due(now);
        let delayed = self.delayed.first_key_value().map(|((at, _), _)| *at);
        let group = self.groups.get_mut(&group).filter(|group| group.has(id))?;
        group.due(now);
        let flying = group.stand(id);
        Some((flying, [group.next_due(), delayed].into_iter().flatten().min()))
    }

    pub(super) fn has(&self, group: u64, id: u64) -> bool {
        self.groups.get(&group).is_some_and(|group| group.has(id))
    }

    /// Tells whether a delivery is still with the member that got it.
    pub(super) fn holds(&self, group: u64, id: u64, token: Token) -> bool {
        self.groups.get(&group).is_some_and(|group| group.holds(id, token))
    }

    pub(super) fn group(&mut self, group: u64) -> Option<&mut Group> {
        self.groups.get_mut(&group)
    }

    /// Takes answers, and lets in what they make room for.
    pub(super) fn settle(&mut self, group: u64, id: u64, answers: &[Settlement], now: Instant) -> Vec<Result<()>> {
        let results = match self.groups.get_mut(&group) {
            Some(group) => answers.iter().map(|answer| group.settle(id, answer, now)).collect(),
            None => answers.iter().map(|_| Err(gone())).collect(),
        };
        self.changed(group, now);
        results
    }

    pub(super) fn leave(&mut self, group: u64, id: u64, kill: bool, now: Instant) {
        if let Some(group) = self.groups.get_mut(&group) {
            group.leave(id, kill);
        }
        self.changed(group, now);
    }

    pub(super) fn seek(&mut self, group: u64, start: Start, now: Instant) -> Result<()> {
        self.due(now);
        let place: Place = self.log.find(start)?;
        match self.groups.get_mut(&group) {
            Some(group) => group.seek(place),
            None => return Err(gone()),
        }
        self.changed(group, now);
        Ok(())
    }

    fn changed(&mut self, group: u64, now: Instant) {
        if self.groups.get(&group).is_some_and(Group::finished) {
            self.groups.remove(&group);
        }
        // Before others take the room.
        for (limit, room) in std::mem::take(&mut self.full) {
            match self.space(limit) {
                0 => self.full.push((limit, room)),
                _ => room.notify_one(),
            }
        }
        if !self.blocked.is_empty() {
            self.admit(now);
        }
    }
}

fn gone() -> Error {
    Error::new(Kind::Closed, "the subscription ended; what it held unsettled went back to its queue")
}
