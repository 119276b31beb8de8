use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use micro_core::{Error, Kind, Result};
use micro_engine::{Bell, Clock, Database, Process, Wake, fail_point, io_failure};

use crate::config::Settings;
use crate::folder::Hub;
use crate::job::{Job, Publish};
use crate::member::{Member, Phase};
use crate::tables::queue::{self, Balanced, lease_millis};
use crate::tables::topic::Topics;
use crate::tables::{channel, message, retention, share, start};

/// How often at most the age of messages is looked at.
const AGE_CHECK: Duration = Duration::from_secs(30);

/// How often while there is more that is too old: a little each time, so that publishers are not kept waiting, and more
/// than they publish.
const AGE_STEP: Duration = Duration::from_millis(20);

/// In so many partitions at least go the messages without a key of one transaction: a page is written for each.
const PARTITIONS_A_COMMIT: u32 = 4;

/// What the writer thread keeps between transactions.
pub(crate) struct Work {
    process: Arc<Process>,
    hub: Arc<Hub>,
    bell: Bell,
    settings: Arc<Settings>,
    topics: Topics,
    buffer: Vec<u8>,
    aged: Instant,
    old_left: bool,
    round: Round,
}

/// What one transaction has done, to be told when it is committed.
#[derive(Default)]
struct Round {
    wakes: Vec<Wake>,
    wrote: Vec<Wrote>,
    fenced: Vec<Fenced>,
}

/// A partition that another member has taken over.
struct Fenced {
    member: Arc<Member>,
    partition: u32,
    generation: u64,
}

struct Wrote {
    member: Arc<Member>,
    partition: u32,
    generation: u64,
    version: u64,
}

impl Round {
    fn wake(&mut self, channel: u64, parts: u64) {
        match self.wakes.iter_mut().find(|wake| wake.channel == channel) {
            Some(wake) => wake.parts |= parts,
            None => self.wakes.push(Wake { channel, parts }),
        }
    }

    fn wake_members(&mut self, topic: i64) {
        self.wake(channel(topic) + 1, u64::MAX);
    }
}

impl Work {
    pub(crate) fn new(process: Arc<Process>, hub: Arc<Hub>, bell: Bell, settings: Arc<Settings>) -> Self {
        Self {
            process,
            hub,
            bell,
            settings,
            topics: Topics::default(),
            buffer: Vec::new(),
            aged: Instant::now(),
            old_left: false,
            round: Round::default(),
        }
    }

    fn do_job(&mut self, storage: &Database, job: &mut Job) -> Result<()> {
        match job {
            Job::Publish(_) | Job::Flush { .. } => {}
            Job::Settle { member, .. } => {
                let path = storage.path();
                fail_point!("broker.settle", path).map_err(|error| io_failure(path, "store answers", &error))?;
                self.write(storage, member)?;
            }
            Job::Mark { member } => self.write(storage, member)?,
            Job::Find { topic, start, settings, outcome, .. } => {
                *outcome = Some(start::find(storage, &mut self.topics, topic, settings, *start)?);
            }
            Job::Join { topic, queue, options, settings, outcome, .. } => {
                let (topics, process) = (&mut self.topics, &self.process);
                let joined = queue::join(storage, topics, process, topic, (queue, options), settings)?;
                self.round.wake_members(joined.topic);
                *outcome = Some(joined);
            }
            Job::Balance { member, outcome } => *outcome = self.balance(storage, member)?,
            Job::Hand { member, partitions } => {
                self.free(storage, member, partitions)?;
                self.round.wake_members(member.topic_id);
            }
            Job::Rest { member, id } => {
                if let Some((_, queue)) = member.queue {
                    queue::leave(storage, queue, *id)?;
                    self.round.wake_members(member.topic_id);
                }
            }
            Job::Heartbeat { members, until } => {
                for member in members {
                    let ends = Clock::now() + lease_millis(member.lease);
                    let id = member.lock().id;
                    let lives = queue::lengthen(storage, id, ends);
                    until.push((ends, lives.map_err(|error| storage.failure("lengthen a lease", error))?));
                }
            }
            Job::Leave { member, .. } => self.leave(storage, member)?,
            Job::Retain => self.retain_age(storage)?,
        }
        Ok(())
    }

    /// Does a job that is undone alone when it fails for a reason of its own; the outer error is everybody's.
    fn do_apart(&mut self, storage: &Database, job: &mut Job) -> Result<Result<()>> {
        let run = |sql| storage.connection().prepare_cached(sql).and_then(|mut statement| statement.execute([]));
        let failed = |error| storage.failure("do a job apart", error);
        run("SAVEPOINT job").map_err(failed)?;
        let done = self.do_job(storage, job);
        match &done {
            Ok(()) => {}
            Err(error) if is_its_own(error) => {
                run("ROLLBACK TO job").map_err(failed)?;
                // Among them may be one that is there no more.
                self.topics.clear();
            }
            Err(error) => return Err(error.duplicate()),
        }
        run("RELEASE job").map_err(failed)?;
        Ok(done)
    }

    /// Stores the messages of all publishers; the statement and the buffer are made once.
    fn publish(&mut self, storage: &Database, jobs: &mut [Job]) -> Result<()> {
        let publishes = jobs.iter_mut().filter_map(|job| match job {
            Job::Publish(publish) => Some(publish),
            _ => None,
        });
        let mut publishes: Vec<&mut Publish> = publishes.collect();
        let count: usize = publishes.iter().map(|publish| publish.messages.len()).sum();
        if count == 0 {
            return Ok(());
        }
        let mut grown = BTreeSet::new();
        {
            let insert = storage.connection().prepare_cached(message::INSERT);
            let mut insert = insert.map_err(|error| storage.failure("store messages", error))?;
            for publish in &mut publishes {
                let known = match self.topics.get(storage, &publish.topic, &publish.settings) {
                    Err(error) if error.kind() == Kind::ResourceExhausted => {
                        publish.refused = Some(error);
                        continue;
                    }
                    known => known?,
                };
                let run = (count as u32 / PARTITIONS_A_COMMIT).max(1);
                let Publish { messages, places, .. } = &mut **publish;
                let parts = message::append(storage, &mut insert, known, messages, run, places, &mut self.buffer)?;
                if known.grown > publish.settings.retain_bytes / 16 {
                    known.grown = 0;
                    grown.insert(known.id);
                }
                self.round.wake(channel(known.id), parts);
            }
        }
        for topic in grown {
            self.retain(storage, topic, count as u64)?;
        }
        Ok(())
    }

    /// Brings a topic back to its size.
    fn retain(&mut self, storage: &Database, topic: i64, count: u64) -> Result<()> {
        while retention::retain(storage, Some(topic), &self.settings, 2000 + 2 * count)? {}
        Ok(())
    }

    /// Removes a little of what is too old, and comes again soon if there is more.
    fn retain_age(&mut self, storage: &Database) -> Result<()> {
        self.old_left = retention::retain(storage, None, &self.settings, 2000)?;
        self.aged = Instant::now();
        Ok(())
    }

    /// Writes what changed in a member's partitions since the last time.
    fn write(&mut self, storage: &Database, member: &Arc<Member>) -> Result<()> {
        let Some((_, queue)) = member.queue else { return Ok(()) };
        let mut state = member.lock();
        let owner = state.id;
        let dirty = state.shares.values_mut().filter(|share| share.is_dirty()).map(|share| {
            let (bytes, version) = share.snapshot();
            (share.partition, share.epoch, share.generation, bytes, version)
        });
        let dirty: Vec<_> = dirty.collect();
        drop(state);
        // All are noted before the first is written: should the transaction fail half-way, all have to be written again.
        self.round.wrote.extend(dirty.iter().map(|(partition, _, generation, _, version)| Wrote {
            member: Arc::clone(member),
            partition: *partition,
            generation: *generation,
            version: *version,
        }));
        for (partition, epoch, generation, bytes, _) in dirty {
            if !share::write(storage, (queue, partition), (owner, epoch), &bytes)? {
                let mine = |wrote: &Wrote| Arc::ptr_eq(&wrote.member, member) && wrote.generation == generation;
                self.round.wrote.retain(|wrote| !mine(wrote));
                self.round.fenced.push(Fenced { member: Arc::clone(member), partition, generation });
            }
        }
        Ok(())
    }

    fn balance(&mut self, storage: &Database, member: &Arc<Member>) -> Result<Option<Balanced>> {
        let Some((_, queue)) = member.queue else { return Ok(None) };
        let (id, phase, mine) = {
            let state = member.lock();
            let phase = if state.resting { Phase::Left } else { state.phase };
            (state.id, phase, state.shares.keys().copied().collect::<BTreeSet<_>>())
        };
        if phase == Phase::Left {
            return Ok(None);
        }
        // One that stops keeps what is out until that is settled, and takes nothing new.
        let mine = if phase == Phase::Stopped { (0..member.partitions).collect() } else { mine };
        let lease = lease_millis(member.lease);
        let settings = Arc::clone(&self.settings);
        let (topics, process) = (&mut self.topics, &self.process);
        let balanced = queue::balance(storage, topics, process, &member.topic, &settings, (queue, id, lease), &mine)?;
        if balanced.changed {
            self.round.wake_members(member.topic_id);
        }
        Ok(Some(balanced))
    }

    fn free(&mut self, storage: &Database, member: &Arc<Member>, partitions: &[u32]) -> Result<()> {
        let Some((_, queue)) = member.queue else { return Ok(()) };
        let mut state = member.lock();
        let owner = state.id;
        let states = partitions.iter().filter_map(|partition| Some((*partition, state.give_up(*partition)?)));
        let states: Vec<_> = states.collect();
        drop(state);
        for (partition, (share, bytes)) in states {
            if !share::free(storage, (queue, partition), (owner, share.epoch), &bytes)? {
                let (member, generation) = (Arc::clone(member), share.generation);
                self.round.fenced.push(Fenced { member, partition, generation });
            }
        }
        Ok(())
    }

    fn leave(&mut self, storage: &Database, member: &Arc<Member>) -> Result<()> {
        let partitions: Vec<u32> = {
            let mut state = member.lock();
            if std::mem::replace(&mut state.phase, Phase::Left) == Phase::Left {
                return Ok(());
            }
            state.shares.keys().copied().collect()
        };
        self.free(storage, member, &partitions)?;
        if let Some((_, queue)) = member.queue {
            let id = member.lock().id;
            queue::leave(storage, queue, id)?;
            self.round.wake_members(member.topic_id);
        }
        Ok(())
    }
}

/// Tells whether an error is the job's own: what was asked, or what is damaged in its place.
fn is_its_own(error: &Error) -> bool {
    matches!(error.kind(), Kind::NotFound | Kind::InvalidArgument | Kind::ResourceExhausted | Kind::Corrupt)
}

impl micro_engine::Work for Work {
    type Job = Job;
    type Storage = Database;

    fn apply(&mut self, storage: &mut Database, jobs: &mut [Job]) -> Result<()> {
        self.round = Round::default();
        self.topics.refresh(storage)?;
        self.publish(storage, jobs)?;
        for job in jobs.iter_mut() {
            let done = if job.is_apart() { self.do_apart(storage, job)? } else { self.do_job(storage, job) };
            if let Err(error) = done {
                // What one caller asked wrongly is no reason to fail the others.
                if !matches!(error.kind(), Kind::NotFound | Kind::InvalidArgument) && !job.is_apart() {
                    return Err(error);
                }
                let answered = std::mem::replace(job, Job::Heartbeat { members: Vec::new(), until: Vec::new() });
                answered.fail(&error);
            }
        }
        let pause = if self.old_left { AGE_STEP } else { AGE_CHECK.min(self.settings.retain_age / 10) };
        if self.aged.elapsed() > pause {
            self.retain_age(storage)?;
        }
        Ok(())
    }

    fn seen(&mut self) {
        let wakes = std::mem::take(&mut self.round.wakes);
        if !wakes.is_empty() {
            self.hub.wake(&wakes);
            self.bell.ring(&wakes);
        }
        // One by one: what is left after a panic is written again.
        while let Some(Wrote { member, partition, generation, version }) = self.round.wrote.pop() {
            let mut state = member.lock();
            if let Some(share) = state.shares.get_mut(&partition).filter(|share| share.generation == generation) {
                let waited = share.is_waiting();
                share.wrote(version);
                drop(state);
                if waited {
                    member.arrived.notify_one();
                }
            }
        }
        while let Some(Fenced { member, partition, generation }) = self.round.fenced.pop() {
            let mut state = member.lock();
            if state.shares.get(&partition).is_some_and(|share| share.generation == generation) {
                state.lose(partition);
            }
            state.note_lost(generation);
            drop(state);
            member.balance();
        }
    }

    fn committed(&mut self, jobs: Vec<Job>) {
        for mut job in jobs {
            match &mut job {
                Job::Balance { member, outcome } => member.balanced(outcome.take()),
                Job::Heartbeat { members, until } => {
                    for (member, (ends, lives)) in members.iter().zip(until) {
                        let mut state = member.lock();
                        state.beating = false;
                        if *lives {
                            state.until = *ends;
                        } else {
                            drop(state);
                            member.balance();
                        }
                    }
                }
                Job::Leave { member, .. } => {
                    member.folder.remove(member);
                    member.arrived.notify_one();
                }
                _ => {}
            }
            job.answer();
        }
    }

    fn failed(&mut self, jobs: Vec<Job>, error: &Error) {
        self.topics.clear();
        let round = std::mem::take(&mut self.round);
        for Wrote { member, partition, .. } in &round.wrote {
            if let Some(share) = member.lock().shares.get_mut(partition) {
                share.not_written();
            }
        }
        tracing::error!(jobs = jobs.len(), %error, "the embedded broker could not write");
        for job in jobs {
            job.fail(error);
        }
    }
}
