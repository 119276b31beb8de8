use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use bytes::Bytes;
use micro_core::broker::{Delivery, Settle, Settlement, Token};
use tokio::time::Instant;

use super::answers::{Answers, Batch};
use super::job::{Action, Answer, Job, Waiting};
use super::lanes::{Keyed, Lanes};
use super::worker::{Ended, Run};

/// A handler that keeps its thread longer than this is worth a second worker.
pub(crate) const HEAVY: Duration = Duration::from_micros(20);
/// So many of them in a row are needed.
const HEAVY_RUN: u32 = 2;
/// So many handlers in a row must return at once before one runs in the pump's task.
const LIGHT_RUN: u32 = 256;
/// So many are taken at once then.
const RUN: usize = 32;
/// Workers that took nothing for so long, though there is work, are stuck.
const STUCK: Duration = Duration::from_micros(200);

/// What the workers of one subscription share, behind one lock that is held for nanoseconds.
///
/// One worker does all the work as long as its handlers return at once; another is woken when a handler waits, or turns
/// out to be heavy. Waking a worker for every message would cost more than most handlers do.
pub(crate) struct State {
    pub(crate) lanes: Lanes<Job>,
    waiting: BinaryHeap<Box<Waiting>>,
    slots: Vec<Slot>,
    pub(crate) answers: Answers,
    /// Workers that sleep.
    pub(crate) parked: usize,
    /// Workers that neither sleep nor wait for their handler.
    pub(crate) active: usize,
    /// The worker in the pump's task, where it is woken without another thread.
    resident: Resident,
    /// Its place.
    resident_slot: usize,
    /// Handlers in a row that kept their thread, and those that did not.
    heavy: u32,
    light: u32,
    last_take: Instant,
    pub(crate) closed: bool,
}

/// One worker, and what it handles.
struct Slot {
    tokens: Vec<Token>,
    since: Instant,
    suspended: bool,
}

/// The worker in the pump's task: what was pulled is handled on the thread that pulled it, and its memory goes back where
/// it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resident {
    /// There is none: all workers have tasks of their own.
    None,
    /// There will be one, once handlers are known to return at once: one that blocks would keep the pump from its work.
    Wanted,
    Active,
    Parked,
}

/// Who shall be woken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Help {
    Nobody,
    /// A worker that sleeps, and is counted as active from now on.
    Wake,
    /// A new one, at this place, and counted as active from now on.
    Spawn(usize),
    /// The one in the pump's task, that sleeps.
    WakeResident,
    /// The one in the pump's task, new, at this place.
    SpawnResident(usize),
}

/// Where the resident is to live from now on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Move {
    Stay,
    Out,
    /// It sleeps, and shall be woken.
    WokenOut,
}

/// What follows from answers.
#[derive(Default)]
pub(crate) struct Applied {
    /// Another job is the one that is due first.
    pub(crate) sooner: bool,
    /// What would wait, but the subscription is closed.
    pub(crate) released: Vec<Job>,
}

impl State {
    pub(crate) fn new(resident: bool) -> Self {
        Self {
            lanes: Lanes::new(),
            waiting: BinaryHeap::new(),
            slots: Vec::new(),
            answers: Answers::default(),
            parked: 0,
            active: 0,
            resident: if resident { Resident::Wanted } else { Resident::None },
            // Until it is known better: the first messages spread over several workers.
            heavy: HEAVY_RUN,
            light: 0,
            resident_slot: 0,
            last_take: Instant::now(),
            closed: false,
        }
    }

    /// Adds what was pulled, and tells who shall be woken for it.
    pub(crate) fn push(&mut self, deliveries: Vec<Delivery>, now: Instant, concurrency: usize) -> Help {
        self.lanes.extend(deliveries.into_iter().map(Job::new));
        // The resident goes on as soon as the pump, which calls this, lets it.
        let next = self.resident == Resident::Active && !self.slots[self.resident_slot].suspended;
        let stuck = !next && now.saturating_duration_since(self.last_take) > STUCK;
        let wanted = self.resident == Resident::Wanted && self.light >= LIGHT_RUN;
        if self.active == 0 || stuck || wanted { self.help(concurrency) } else { Help::Nobody }
    }

    /// Finds somebody for what is ready.
    pub(crate) fn help(&mut self, concurrency: usize) -> Help {
        if !self.lanes.is_ready() || self.closed {
            return Help::Nobody;
        }
        // The resident's thread is the best as long as it has time.
        if self.resident == Resident::Parked && !self.is_heavy() {
            return self.wake_resident();
        }
        let room = self.slots.len() < concurrency;
        if self.resident == Resident::Wanted && self.light >= LIGHT_RUN && room {
            self.resident = Resident::Active;
            self.resident_slot = self.new_slot();
            return Help::SpawnResident(self.resident_slot);
        }
        if self.parked > 0 {
            self.parked -= 1;
            self.active += 1;
            return Help::Wake;
        }
        if self.resident == Resident::Parked {
            return self.wake_resident();
        }
        if room {
            return Help::Spawn(self.new_slot());
        }
        Help::Nobody
    }

    fn wake_resident(&mut self) -> Help {
        self.resident = Resident::Active;
        self.active += 1;
        Help::WakeResident
    }

    fn new_slot(&mut self) -> usize {
        self.slots.push(Slot { tokens: Vec::new(), since: Instant::now(), suspended: false });
        self.active += 1;
        self.slots.len() - 1
    }

    /// Takes in what a worker did.
    pub(crate) fn hand_in(&mut self, run: &mut Run) -> Applied {
        if run.light > 0 {
            (self.heavy, self.light) = (0, self.light.saturating_add(run.light));
        }
        // One alone may have lost its thread to somebody else for a moment.
        match run.end {
            Some(Ended::Heavy) => (self.heavy, self.light) = ((self.heavy + 1).min(HEAVY_RUN), 0),
            Some(Ended::Waited) => self.light = 0,
            None => {}
        }
        (run.light, run.end) = (0, None);
        if let Some(settler) = &run.settler
            && !run.settled.is_empty()
        {
            self.answers.append(settler, &mut run.settled, run.now);
        }
        for key in run.keys.drain(..) {
            self.lanes.finish(&key);
        }
        match run.answer.take() {
            Some(answer) => self.apply(answer, run.now),
            None => Applied::default(),
        }
    }

    /// Notes that a worker is back from its handlers.
    pub(crate) fn back(&mut self, slot: usize) {
        let slot = &mut self.slots[slot];
        slot.tokens.clear();
        if std::mem::take(&mut slot.suspended) {
            self.active += 1;
        }
    }

    /// Takes back what a worker took and did not begin; one it still has. After the end nobody takes it: it is released.
    pub(crate) fn give_back(&mut self, slot: usize, run: &mut Run, kept: Option<Token>) -> Applied {
        let mut released = Vec::new();
        if self.closed {
            released.extend(run.jobs.drain(run.begun..));
        }
        for job in run.jobs.drain(run.begun..).rev() {
            self.lanes.resume(job);
        }
        run.clear();
        self.slots[slot].tokens.retain(|token| Some(*token) == kept);
        let mut applied = self.hand_in(run);
        applied.released.append(&mut released);
        applied
    }

    /// Notes that a worker waits for something, so that another may go on.
    pub(crate) fn suspend(&mut self, slot: usize, now: Instant) {
        let slot = &mut self.slots[slot];
        if !slot.suspended {
            slot.suspended = true;
            slot.since = now;
            self.active -= 1;
        }
    }

    /// Notes what became of a delivery.
    pub(crate) fn apply(&mut self, answer: Answer, now: Instant) -> Applied {
        let mut applied = Applied::default();
        let in_place = matches!(&answer.action, Action::Wait(waiting) if waiting.in_place);
        if !in_place && let Some(key) = &answer.key {
            self.lanes.finish(key);
        }
        match answer.action {
            Action::Settle(settler, settlement) => self.answers.push(&settler, settlement, now),
            Action::Wait(waiting) => self.wait(waiting, &mut applied),
        }
        applied
    }

    /// Notes what became of a batch. A key may stand in it several times, but its lane is let go once.
    pub(crate) fn apply_batch(&mut self, answers: Vec<Answer>, now: Instant) -> Applied {
        let mut applied = Applied::default();
        let mut keys = HashMap::new();
        let mut behind = Vec::new();
        for answer in answers {
            let waits = answer.key.map(|key| keys.entry(key).or_insert(false));
            match answer.action {
                Action::Settle(settler, settlement) => self.answers.push(&settler, settlement, now),
                Action::Wait(waiting) if waiting.in_place && !self.closed => match waits {
                    Some(true) => behind.push(waiting.job),
                    Some(first) => {
                        *first = true;
                        self.wait(waiting, &mut applied);
                    }
                    None => self.wait(waiting, &mut applied),
                },
                Action::Wait(waiting) => self.wait(waiting, &mut applied),
            }
        }
        for job in behind.into_iter().rev() {
            self.lanes.put_back(job);
        }
        for (key, _) in keys.into_iter().filter(|(_, waits)| !waits) {
            self.lanes.finish(&key);
        }
        applied
    }

    /// Notes that all of a batch is done.
    pub(crate) fn acknowledge(&mut self, jobs: Vec<Job>, now: Instant) {
        // Those of one key follow each other in a batch.
        let mut last: Option<Bytes> = None;
        for mut job in jobs {
            let parts = job.delivery.parts_mut();
            let settlement = Settlement::new(parts.token, Settle::Ack, parts.attempts);
            self.answers.push(&parts.origin.settler, settlement, now);
            if let Some(key) = parts.message.key.take()
                && last.as_ref() != Some(&key)
                && let Some(before) = last.replace(key)
            {
                self.lanes.finish(&before);
            }
            job.delivery.disarm();
        }
        if let Some(key) = last {
            self.lanes.finish(&key);
        }
    }

    fn wait(&mut self, waiting: Box<Waiting>, applied: &mut Applied) {
        if self.closed {
            applied.released.push(waiting.job);
            return;
        }
        applied.sooner |= self.waiting.peek().is_none_or(|first| waiting.at < first.at);
        self.waiting.push(waiting);
    }

    /// Takes jobs for a worker: many, as long as handlers return at once.
    pub(crate) fn take(&mut self, slot: usize, run: &mut Run) -> bool {
        run.clear();
        let most = if self.light >= LIGHT_RUN { RUN } else { 1 };
        run.jobs.extend(self.lanes.take_many(most));
        let slot = &mut self.slots[slot];
        slot.tokens.extend(run.jobs.iter().map(|job| job.delivery.token()));
        if !run.jobs.is_empty() {
            slot.since = run.now;
            self.last_take = run.now;
        }
        !run.jobs.is_empty()
    }

    /// Takes jobs for a batch until there are `max`; those of one key may follow each other in it.
    pub(crate) fn take_batch(&mut self, slot: usize, batch: &mut Vec<Job>, max: usize, now: Instant) {
        while batch.len() < max {
            let Some(job) = self.lanes.take() else { return };
            let key = job.key().cloned();
            self.begin(slot, &job, now);
            batch.push(job);
            let Some(key) = key else { continue };
            while batch.len() < max
                && let Some(job) = self.lanes.take_behind(&key)
            {
                self.begin(slot, &job, now);
                batch.push(job);
            }
        }
    }

    fn begin(&mut self, slot: usize, job: &Job, now: Instant) {
        let slot = &mut self.slots[slot];
        slot.tokens.push(job.delivery.token());
        slot.since = now;
        self.last_take = now;
    }

    /// Tells whether a second worker is worth waking while this one works.
    pub(crate) fn is_heavy(&self) -> bool {
        self.heavy >= HEAVY_RUN
    }

    /// Notes that a worker sleeps; says whether it is the resident.
    pub(crate) fn park(&mut self, slot: usize) -> bool {
        self.active -= 1;
        let resident = self.resident == Resident::Active && slot == self.resident_slot;
        if resident {
            self.resident = Resident::Parked;
        } else {
            self.parked += 1;
        }
        resident
    }

    /// Notes that the resident moves to a task of its own. One that sleeps stays, unless it must go; then it is woken.
    pub(crate) fn move_out(&mut self, must: bool) -> Move {
        match self.resident {
            Resident::Active => {
                self.resident = Resident::None;
                Move::Out
            }
            Resident::Parked if must => {
                self.resident = Resident::None;
                self.active += 1;
                Move::WokenOut
            }
            _ => Move::Stay,
        }
    }

    /// Returns when the next waiting job is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.waiting.peek().map(|waiting| waiting.at)
    }

    /// Makes ready what is due.
    pub(crate) fn wake_due(&mut self, now: Instant) {
        while self.waiting.peek().is_some_and(|waiting| waiting.at <= now)
            && let Some(waiting) = self.waiting.pop()
        {
            if waiting.in_place { self.lanes.resume(waiting.job) } else { self.lanes.push(waiting.job) }
        }
    }

    /// Returns what must not be given to another member: what waits, and what handlers have within their limit.
    pub(crate) fn held(&self, now: Instant, limit: Duration) -> Vec<Token> {
        let waiting = self.waiting.iter().map(|waiting| waiting.token());
        let queued = self.lanes.iter().map(|job| job.delivery.token());
        let in_time = |slot: &&Slot| now.saturating_duration_since(slot.since) <= limit;
        let running = self.slots.iter().filter(in_time).flat_map(|slot| slot.tokens.iter().copied());
        waiting.chain(queued).chain(running).collect()
    }

    /// Returns how many deliveries are here: what waits, and what handlers have.
    pub(crate) fn in_hand(&self) -> usize {
        self.waiting.len() + self.lanes.iter().count() + self.unanswered()
    }

    /// Returns how many deliveries the workers have.
    pub(crate) fn unanswered(&self) -> usize {
        self.slots.iter().map(|slot| slot.tokens.len()).sum()
    }

    /// Closes: nothing is taken any more. Returns what no handler has, each key in its order.
    pub(crate) fn close(&mut self) -> (Vec<Job>, Vec<Batch>) {
        self.closed = true;
        let mut waiting = std::mem::take(&mut self.waiting).into_vec();
        waiting.sort_by_key(|waiting| waiting.token());
        let mut jobs: Vec<_> = waiting.into_iter().map(|waiting| waiting.job).collect();
        jobs.append(&mut self.lanes.drain());
        (jobs, self.answers.take())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use micro_core::broker::{DeliveryParts, Message, Origin, Settled, Settler, Topic};

    use super::*;

    #[derive(Debug)]
    struct Deaf;

    impl Settler for Deaf {
        fn settle(&self, answers: Vec<Settlement>) -> Settled {
            Settled::ready(answers.into_iter().map(|_| Ok(())).collect())
        }
    }

    /// A worker's run of so many deliveries.
    fn run_of(count: u64) -> (State, usize, Run) {
        let origin = Origin::new(Topic::new("orders").unwrap(), None, Arc::new(Deaf));
        let delivery = |token| {
            let message = Message::new("").key(format!("key-{token}"));
            Delivery::from_parts(DeliveryParts::new(Arc::clone(&origin), message, Token(token)))
        };
        let mut state = State::new(false);
        state.light = LIGHT_RUN;
        assert_eq!(state.push((0..count).map(delivery).collect(), Instant::now(), 1), Help::Spawn(0));
        let mut run = Run::new();
        assert!(state.take(0, &mut run));
        (state, 0, run)
    }

    fn tokens(jobs: &[Job]) -> Vec<u64> {
        jobs.iter().map(|job| job.delivery.token().0).collect()
    }

    #[test]
    fn what_a_worker_did_not_begin_is_next_in_its_order() {
        let (mut state, slot, mut run) = run_of(5);
        let first = run.jobs.remove(0);
        assert!(state.give_back(slot, &mut run, Some(first.delivery.token())).released.is_empty());
        assert_eq!(state.held(Instant::now(), HEAVY).len(), 5);
        state.light = LIGHT_RUN;
        assert!(state.take(slot, &mut run));
        assert_eq!(tokens(&run.jobs), [1, 2, 3, 4]);
    }

    #[test]
    fn what_is_given_back_after_the_end_is_released() {
        let (mut state, slot, mut run) = run_of(5);
        let first = run.jobs.remove(0);
        assert!(state.close().0.is_empty(), "the worker has them all");
        let released = state.give_back(slot, &mut run, Some(first.delivery.token())).released;
        assert_eq!(tokens(&released), [1, 2, 3, 4]);
        assert!(!state.lanes.is_ready(), "nobody would take it any more");
        assert_eq!(state.unanswered(), 1);
    }
}
