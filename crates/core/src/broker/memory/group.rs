use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::flights::{Flight, Flights, Pending};
use super::keys::Keys;
use super::later;
use super::log::{Log, PARTITIONS, Place, Record};
use crate::broker::{Queue, Settle, Settlement, Token};
use crate::{Error, Kind, Result};

/// The state of one queue, or of one subscriber without a queue: a queue of its own that goes when it goes.
#[derive(Debug)]
pub(super) struct Group {
    queue: Option<Queue>,
    cursor: u64,
    /// By partition, the number below which records are passed over: what seeking in one partition leaves behind.
    floors: Option<Box<[u64; PARTITIONS as usize]>>,
    ready: BTreeMap<u64, Pending>,
    timers: BTreeMap<(Instant, u64), Pending>,
    keys: Keys,
    members: HashMap<u64, Member>,
    /// Members that wait for work, in the order they will get it.
    idle: VecDeque<u64>,
    /// No lease ends before this.
    next_expiry: Option<Instant>,
    /// Who got the last messages.
    last: Option<u64>,
    lost: u64,
}

/// One subscription of a queue.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) limit: usize,
    pub(super) lease: Duration,
    pub(super) ordered: bool,
    pub(super) notify: Arc<Notify>,
    flights: Flights,
    paused: bool,
    leaving: bool,
    /// Waits in `next`, but not for work: it is at its limit.
    full: bool,
}

/// A message on its way out.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) token: Token,
    pub(super) record: Arc<Record>,
    pub(super) attempts: u32,
    pub(super) deliveries: u32,
}

impl Member {
    pub(super) fn new(limit: usize, lease: Duration, ordered: bool, notify: Arc<Notify>) -> Self {
        let flights = Flights::default();
        Self { limit: limit.max(1), lease, ordered, notify, flights, paused: false, leaving: false, full: false }
    }

    fn hungry(&self) -> bool {
        !self.paused && !self.leaving && self.flights.len() < self.limit
    }
}

impl Group {
    pub(super) fn new(queue: Option<Queue>, cursor: u64) -> Self {
        Self {
            queue,
            cursor,
            floors: None,
            ready: BTreeMap::new(),
            timers: BTreeMap::new(),
            keys: Keys::default(),
            members: HashMap::new(),
            idle: VecDeque::new(),
            next_expiry: None,
            last: None,
            lost: 0,
        }
    }

    /// Tells whether somebody pulls here, so that publishers wait for it.
    pub(super) fn live(&self) -> bool {
        self.members.values().any(|member| !member.leaving)
    }

    /// Tells whether nobody will ask for it again.
    pub(super) fn finished(&self) -> bool {
        self.queue.is_none() && self.members.is_empty()
    }

    pub(super) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Returns how many messages it has not settled.
    pub(super) fn lag(&self, log: &Log) -> usize {
        let flying: usize = self.members.values().map(|member| member.flights.len()).sum();
        self.untouched(log) + self.ready.len() + self.timers.len() + self.keys.waiting() + flying
    }

    fn untouched(&self, log: &Log) -> usize {
        usize::try_from(log.next().saturating_sub(self.cursor)).unwrap_or(usize::MAX)
    }

    pub(super) fn join(&mut self, id: u64, member: Member) {
        self.members.insert(id, member);
    }

    /// Returns how many subscriptions are open.
    pub(super) fn open(&self) -> usize {
        self.members.values().filter(|member| !member.leaving).count()
    }

    pub(super) fn has(&self, id: u64) -> bool {
        self.members.contains_key(&id)
    }

    /// Tells whether a delivery is still with the member that got it.
    pub(super) fn holds(&self, id: u64, token: Token) -> bool {
        self.members.get(&id).is_some_and(|member| member.flights.has(token))
    }

    /// Tells whether a member had its turn and others are hungry.
    pub(super) fn had_its_turn(&self, id: u64) -> bool {
        self.last == Some(id) && self.members.len() > 1 && self.members.iter().any(|(m, s)| *m != id && s.hungry())
    }

    /// Hands out the next messages to a member: its share, if other members are hungry too.
    pub(super) fn take(&mut self, id: u64, max: usize, log: &Log, now: Instant) -> Vec<Taken> {
        self.not_idle(id);
        self.due(now);
        let hungry = self.members.values().filter(|member| member.hungry()).count().max(1);
        // One that is ready may bring with it all that waits for its key.
        let available = self.ready.len() + self.keys.waiting() + self.untouched(log);
        let Some(member) = self.members.get_mut(&id) else { return Vec::new() };
        member.full = false;
        if !member.hungry() {
            return Vec::new();
        }
        let quota = max.min(member.limit - member.flights.len()).min(available.div_ceil(hungry));
        let mut taken = Vec::with_capacity(quota);
        while taken.len() < quota {
            let next = match self.ready.pop_first() {
                Some((_, pending)) => Some(pending),
                None => self.pull(log),
            };
            let Some(pending) = next else { break };
            self.offer(id, pending, quota, now, &mut taken);
        }
        if !taken.is_empty() {
            self.last = Some(id);
        }
        if !taken.is_empty() && (!self.ready.is_empty() || self.untouched(log) > 0) {
            self.wake(1);
        }
        taken
    }

    fn pull(&mut self, log: &Log) -> Option<Pending> {
        loop {
            let record = log.get(self.cursor)?;
            self.cursor += 1;
            if let Some(floors) = &self.floors
                && record.seq < floors[record.partition as usize]
            {
                continue;
            }
            return Some(Pending { record: Arc::clone(record), attempts: 0, deliveries: 0 });
        }
    }

    fn offer(&mut self, id: u64, pending: Pending, quota: usize, now: Instant, taken: &mut Vec<Taken>) {
        let expired = |pending: &Pending| pending.record.expires.is_some_and(|at| at <= now);
        let record = Arc::clone(&pending.record);
        let Some(key) = &record.message.key else {
            if !expired(&pending) {
                self.fly(id, pending, now, taken);
            }
            return;
        };
        if expired(&pending) {
            let next = self.keys.forget(key, record.seq);
            self.again(next);
            return;
        }
        let mut next = self.keys.admit(key, pending, id);
        while let Some(pending) = next {
            if expired(&pending) {
                let next = self.keys.landed(key, pending.record.seq);
                self.again(next);
            } else {
                self.fly(id, pending, now, taken);
            }
            next = if taken.len() < quota { self.keys.follow(key, id) } else { None };
        }
    }

    fn fly(&mut self, id: u64, mut pending: Pending, now: Instant, taken: &mut Vec<Taken>) {
        let Some(member) = self.members.get_mut(&id) else { return };
        pending.deliveries = pending.deliveries.saturating_add(1);
        let (record, attempts, deliveries) = (Arc::clone(&pending.record), pending.attempts, pending.deliveries);
        let expires = later(now, member.lease);
        let token = member.flights.insert(Flight { pending, expires, detached: false });
        taken.push(Taken { token, record, attempts, deliveries });
        if self.next_expiry.is_none_or(|at| expires < at) {
            self.next_expiry = Some(expires);
            // Somebody has to look at the clock.
            self.wake(1);
        }
    }

    /// Takes the answer to one delivery.
    pub(super) fn settle(&mut self, id: u64, answer: &Settlement, now: Instant) -> Result<()> {
        let member = self.members.get_mut(&id);
        let Some(flight) = member.and_then(|member| member.flights.remove(answer.token)) else {
            return Err(Error::new(
                Kind::Conflict,
                "the delivery was settled already, or its lease ended and it went back to its queue",
            )
            .operation("broker.settle"));
        };
        let pending = Pending { attempts: answer.attempts, ..flight.pending };
        match answer.settle {
            Settle::Ack | Settle::Reject(_) => self.land(id, &pending.record),
            _ if flight.detached => self.land(id, &pending.record),
            Settle::Release => self.give_back(id, pending, None),
            Settle::Retry(after) if after.is_zero() => self.give_back(id, pending, None),
            Settle::Retry(after) => self.give_back(id, pending, Some(later(now, after))),
        }
        self.tidy(id);
        Ok(())
    }

    fn land(&mut self, id: u64, record: &Record) {
        self.not_full(id);
        if let Some(key) = &record.message.key {
            let next = self.keys.landed(key, record.seq);
            self.again(next);
        }
    }

    fn not_full(&mut self, id: u64) {
        if let Some(member) = self.members.get_mut(&id)
            && std::mem::take(&mut member.full)
        {
            member.notify.notify_one();
        }
    }

    fn give_back(&mut self, id: u64, pending: Pending, at: Option<Instant>) {
        if self.queue.is_none() && !self.live() {
            return self.land(id, &pending.record);
        }
        self.not_full(id);
        let record = Arc::clone(&pending.record);
        let now = match at {
            None => Some(pending),
            Some(at) => {
                self.timers.insert((at, record.seq), pending);
                // Somebody has to look at the clock.
                self.wake(1);
                None
            }
        };
        let next = match &record.message.key {
            None => now,
            Some(key) => {
                let strict = self.members.get(&id).is_some_and(|member| member.ordered);
                self.keys.returned(key, &record, strict, now)
            }
        };
        self.again(next);
    }

    fn again(&mut self, pending: Option<Pending>) {
        if let Some(pending) = pending {
            self.ready.insert(pending.record.seq, pending);
            self.wake(1);
        }
    }

    /// Renews the lease of deliveries whose handlers are at work.
    pub(super) fn extend(&mut self, id: u64, tokens: &[Token], now: Instant) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let expires = later(now, member.lease);
        for token in tokens {
            if let Some(flight) = member.flights.get_mut(*token) {
                flight.expires = expires;
            }
        }
    }

    /// Brings back what a pause or a lease is over for.
    pub(super) fn due(&mut self, now: Instant) {
        while let Some(entry) = self.timers.first_entry()
            && entry.key().0 <= now
        {
            let pending = entry.remove();
            let next = match pending.record.message.key.clone() {
                None => Some(pending),
                Some(key) => self.keys.arrived(&key, pending),
            };
            self.again(next);
        }
        if self.next_expiry.is_none_or(|at| at > now) {
            return;
        }
        let mut next = None;
        let mut expired = Vec::new();
        for (id, member) in &mut self.members {
            expired.extend(member.flights.take_if(|flight| flight.expires <= now).into_iter().map(|f| (*id, f)));
            let first = member.flights.iter_mut().map(|flight| flight.expires).min();
            next = [next, first].into_iter().flatten().min();
        }
        self.next_expiry = next;
        for (id, flight) in expired {
            tracing::debug!(queue = ?self.queue, position = %flight.pending.record.position(), "the lease of a delivery ended unsettled");
            self.returned(id, flight);
            self.tidy(id);
        }
    }

    fn returned(&mut self, id: u64, flight: Flight) {
        if flight.detached {
            self.land(id, &flight.pending.record);
        } else {
            self.give_back(id, flight.pending, None);
        }
    }

    /// Returns when [`due`](Self::due) has something to do.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let timer = self.timers.first_key_value().map(|((at, _), _)| *at);
        [timer, self.next_expiry].into_iter().flatten().min()
    }

    /// Ends a member's pulling. With `kill` what it holds goes back at once, else it may still settle it.
    pub(super) fn leave(&mut self, id: u64, kill: bool) {
        self.not_idle(id);
        let Some(member) = self.members.get_mut(&id) else { return };
        member.leaving = true;
        member.notify.notify_one();
        let flights = if kill { member.flights.take_if(|_| true) } else { Vec::new() };
        for flight in flights {
            self.returned(id, flight);
        }
        self.tidy(id);
        if self.queue.is_none() && !self.live() {
            self.ready.clear();
            self.timers.clear();
            self.keys.clear(None, Vec::new());
        }
        self.wake(1);
    }

    fn tidy(&mut self, id: u64) {
        if self.members.get(&id).is_some_and(|member| member.leaving && member.flights.len() == 0) {
            self.members.remove(&id);
        }
    }

    pub(super) fn pause(&mut self, id: u64, paused: bool) {
        if let Some(member) = self.members.get_mut(&id) {
            member.paused = paused;
        }
    }

    /// Notes that a member waits until one that it has is settled, and returns how many those are.
    pub(super) fn stand(&mut self, id: u64) -> usize {
        let Some(member) = self.members.get_mut(&id) else { return 0 };
        member.full = true;
        member.flights.len()
    }

    /// Notes that a member waits: for work, or until it may have more.
    pub(super) fn wait(&mut self, id: u64) {
        let Some(member) = self.members.get_mut(&id) else { return };
        if member.hungry() {
            self.idle.push_back(id);
        } else {
            member.full = true;
        }
    }

    /// Notes that a member waits no more. If it had been woken for work it will not take, another is woken.
    pub(super) fn give_up(&mut self, id: u64) {
        let waiting = self.not_idle(id);
        match self.members.get_mut(&id) {
            Some(member) if member.full => member.full = false,
            _ if waiting => {}
            _ => self.wake(1),
        }
    }

    fn not_idle(&mut self, id: u64) -> bool {
        let before = self.idle.len();
        self.idle.retain(|other| *other != id);
        self.idle.len() < before
    }

    /// Wakes so many of the members that wait for work.
    pub(super) fn wake(&mut self, messages: usize) {
        for _ in 0..messages.min(self.idle.len()) {
            if let Some(member) = self.idle.pop_front().and_then(|id| self.members.get(&id)) {
                member.notify.notify_one();
            }
        }
    }

    /// Goes on from another place. What is in flight may still be settled, and does not come back.
    pub(super) fn seek(&mut self, place: Place) {
        let partition = match place {
            Place::All(_) => None,
            Place::One { partition, .. } => Some(partition),
        };
        let moved = |record: &Record| partition.is_none_or(|partition| partition == record.partition);
        self.timers.retain(|_, pending| !moved(&pending.record));
        let ready = std::mem::take(&mut self.ready).into_values().filter(|pending| !moved(&pending.record)).collect();
        let ready = self.keys.clear(partition, ready);
        self.ready = ready.into_iter().map(|pending| (pending.record.seq, pending)).collect();
        for flight in self.members.values_mut().flat_map(|member| member.flights.iter_mut()) {
            flight.detached |= moved(&flight.pending.record);
        }
        match place {
            Place::All(seq) => {
                self.floors = None;
                self.cursor = seq;
            }
            Place::One { partition, seq } => {
                let cursor = self.cursor;
                let floors = self.floors.get_or_insert_with(|| Box::new([0; PARTITIONS as usize]));
                for floor in floors.iter_mut() {
                    *floor = (*floor).max(cursor);
                }
                floors[partition as usize] = seq;
                self.cursor = cursor.min(seq);
            }
        }
        self.wake(usize::MAX);
    }

    /// Hears that a record is no longer kept. A queue that had not read it lost it, and says so.
    pub(super) fn dropped(&mut self, seq: u64, topic: &crate::broker::Topic) {
        if self.cursor > seq {
            return;
        }
        self.cursor = seq + 1;
        self.lost += 1;
        metrics::counter!("micro_memory_broker_lost_total").increment(1);
        if self.lost.is_power_of_two() {
            tracing::warn!(
                %topic, queue = ?self.queue, lost = self.lost,
                "the memory broker dropped messages that an absent queue had not read; subscribe to it, raise ?limit=, or use a durable broker"
            );
        }
    }
}
