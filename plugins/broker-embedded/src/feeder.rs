use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use micro_core::{Kind, Result};
use micro_engine::{Clock, Listener, Wake, fail_point, failure, io_failure};
use rusqlite::Connection;

use crate::folder::Folder;
use crate::job::Job;
use crate::member::{Member, Phase};
use crate::tables::queue::lease_millis;
use crate::tables::{channel, queue, topic};

/// How often everything is looked at, should a wake-up be lost or a process die.
const TICK: Duration = Duration::from_millis(250);

/// How often a process that only subscribes has old messages removed; publishers do it as they publish.
const RETENTION: Duration = Duration::from_secs(60);

/// How long the thread rests after a panic: one that comes again at once must not take a core.
const AFTER_PANIC: Duration = Duration::from_millis(100);

/// Starts the one thread of this process that reads messages ahead for its subscriptions.
///
/// It is woken by whoever publishes, reads pages in short transactions, and puts them where `next` finds them; between
/// the wake-up and the handler there is no other thread.
pub(crate) fn start(folder: Weak<Folder>, listener: Listener, reader: Connection) -> Result<()> {
    thread::Builder::new()
        .name("micro-broker-read".to_owned())
        .spawn(move || {
            let mut listener = listener;
            // A panic costs the subscriptions that were there; who subscribes again is read for again.
            while let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(&folder, &mut listener, &reader))) {
                let Some(folder) = folder.upgrade() else { return };
                let error = micro_engine::panicked("reader", &*panic);
                folder.members().iter().for_each(|member| member.fail(error.duplicate()));
                drop(folder);
                thread::sleep(AFTER_PANIC);
            }
        })
        .map(drop)
        .map_err(|error| io_failure(std::path::Path::new("micro-broker-read"), "start the reader thread", &error))
}

fn run(folder: &Weak<Folder>, listener: &mut Listener, reader: &Connection) {
    let mut wakes: Vec<Wake> = Vec::new();
    let mut limit = Duration::ZERO;
    let mut tick_at = Instant::now();
    let mut version = None;
    let mut retained = Instant::now();
    loop {
        wakes.clear();
        let lost = listener.wait(limit, &mut wakes);
        let Some(folder) = folder.upgrade() else { return };
        folder.take_wakes(&mut wakes);
        let members = folder.members();
        if let Some(error) = folder.closed() {
            members.iter().for_each(|member| member.fail(error.duplicate()));
            return;
        }
        let tick = Instant::now() >= tick_at;
        let mut changed = lost;
        if tick {
            tick_at = Instant::now() + tick_length(&members);
            let seen = topic::data_version(reader).ok();
            changed |= seen.is_none() || std::mem::replace(&mut version, seen) != seen;
            heartbeat(&folder, &members);
            if retained.elapsed() > RETENTION {
                retained = Instant::now();
                folder.push(Job::Retain);
            }
        }
        let mut pause = tick_at.saturating_duration_since(Instant::now());
        for member in &members {
            member.hear(&wakes, changed);
            if tick {
                member.take_back();
                member.watch(&folder, reader);
            }
            member.hand_over();
            match read(&folder, member, reader) {
                Ok(Some(due)) => pause = pause.min(due),
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(topic = %member.topic, %error, "the embedded broker could not read");
                    if error.kind() == Kind::Corrupt {
                        member.fail(error);
                    }
                    member.unread();
                }
            }
        }
        // A lower bound: the clock of due times has milliseconds.
        limit = if pause.is_zero() { pause } else { pause.max(Duration::from_millis(1)) };
    }
}

fn read(folder: &Folder, member: &Arc<Member>, reader: &Connection) -> Result<Option<Duration>> {
    fail_point!("broker.read", &folder.database)
        .map_err(|error| io_failure(&folder.database, "read messages", &error))?;
    member.feed(reader).map_err(|error| failure(&folder.database, "read messages", error))
}

fn tick_length(members: &[Arc<Member>]) -> Duration {
    let shortest = members.iter().filter(|member| member.queue.is_some()).map(|member| member.lease / 8).min();
    shortest.map_or(TICK, |lease| lease.clamp(Duration::from_millis(20), TICK))
}

/// Lengthens the leases that have a third of their time behind them.
fn heartbeat(folder: &Folder, members: &[Arc<Member>]) {
    let now = Clock::now();
    let due = members.iter().filter(|member| {
        let mut state = member.lock();
        let lease = lease_millis(member.lease);
        let due = member.queue.is_some()
            && state.id != 0
            && state.phase != Phase::Left
            && now + lease - lease / 3 >= state.until;
        due && !std::mem::replace(&mut state.beating, true)
    });
    let members: Vec<_> = due.cloned().collect();
    if !members.is_empty() {
        folder.push(Job::Heartbeat { members, until: Vec::new() });
    }
}

impl Member {
    /// Notes where something may be new.
    fn hear(self: &Arc<Self>, wakes: &[Wake], everywhere: bool) {
        let mine = channel(self.topic_id);
        let parts = wakes.iter().filter(|wake| wake.channel == mine).fold(0, |parts, wake| parts | wake.parts);
        let parts = if everywhere { u64::MAX } else { parts };
        if parts != 0 {
            for share in self.lock().shares.values_mut().filter(|share| parts >> (share.partition % 64) & 1 == 1) {
                share.fresh = true;
            }
        }
        if everywhere || wakes.iter().any(|wake| wake.channel == mine + 1) {
            self.balance();
        }
    }

    /// Looks for what nobody tells: a lease that ended, a process that died, a drain that takes too long.
    fn watch(self: &Arc<Self>, folder: &Folder, reader: &Connection) {
        // Who found the lease over waits, and it may have been lengthened since.
        if self.lock().ready_len() > 0 {
            self.arrived.notify_one();
        }
        // What waits for its mark waits for ever where that could not be written, as on a full disk.
        if self.lock().shares.values().any(|share| share.is_dirty() && share.is_waiting()) {
            folder.push(Job::Mark { member: Arc::clone(self) });
        }
        let Some((_, queue)) = self.queue else { return };
        let (over, leave) = {
            let state = self.lock();
            let lease = lease_millis(self.lease);
            let leave = state.leaving.is_some_and(|since| state.out.is_empty() || Clock::now() > since + lease);
            (self.lease_is_over(&state), leave && state.phase == Phase::Stopped)
        };
        if leave {
            self.leave();
        } else if over || queue::dead(reader, &folder.process, queue, true).is_ok_and(|dead| !dead.is_empty()) {
            self.balance();
        }
    }
}
