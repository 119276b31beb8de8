use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use micro_core::{Error, Kind, Result};
use tokio::sync::Notify;

use crate::writer::Job;

/// Above this many bytes publishers are asked to wait.
const FULL: usize = 16 << 20;
/// Above this many bytes a publisher that does not wait is refused.
const TOO_FULL: usize = 256 << 20;
/// Bytes of one transaction, so that others get their turn and a roll-back is cheap.
const TRANSACTION: usize = 4 << 20;

/// What waits to be written.
#[derive(Debug)]
pub(crate) struct Queue<J> {
    state: Mutex<State<J>>,
    filled: Condvar,
    room: Notify,
}

#[derive(Debug)]
struct State<J> {
    jobs: VecDeque<J>,
    weight: usize,
    urgent: bool,
    sleeping: bool,
    closed: Option<Closed>,
}

/// Why a queue takes nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    /// Its owner wants no more.
    Asked,
    /// The thread that emptied it panicked where nothing could catch it.
    Panicked,
}

impl Closed {
    fn error(self) -> Error {
        match self {
            Self::Asked => Error::new(Kind::Closed, "the embedded database is closed; connect again"),
            // It is mended by opening the folder anew.
            Self::Panicked => Error::new(
                Kind::Unavailable,
                "the writer thread of the embedded database has panicked, see the trace on stderr; connect again",
            ),
        }
    }
}

impl<J: Job> Queue<J> {
    pub(crate) fn new() -> Self {
        let state = State { jobs: VecDeque::new(), weight: 0, urgent: false, sleeping: false, closed: None };
        Self { state: Mutex::new(state), filled: Condvar::new(), room: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, job: J) -> Result<(), (J, Error)> {
        let mut state = self.lock();
        if let Some(closed) = state.closed {
            return Err((job, closed.error()));
        }
        if state.weight > TOO_FULL {
            let text = format!(
                "{} MiB wait to be written already; wait with `ready()` before publishing more",
                state.weight >> 20
            );
            return Err((job, Error::new(Kind::ResourceExhausted, text)));
        }
        state.weight += job.weight();
        let urgent = !job.lazy();
        let wake = state.sleeping && (urgent || state.jobs.is_empty());
        state.urgent |= urgent;
        state.jobs.push_back(job);
        if wake {
            state.sleeping = false;
            drop(state);
            self.filled.notify_one();
        }
        Ok(())
    }

    pub(crate) async fn ready(&self) -> Result<()> {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            {
                let state = self.lock();
                if let Some(closed) = state.closed {
                    return Err(closed.error());
                }
                if state.weight <= FULL {
                    return Ok(());
                }
            }
            room.await;
        }
    }

    /// Waits for something to do: urgent jobs at once, lazy ones when `lazy_at` has come. False when all is done.
    pub(crate) fn wait(&self, lazy_at: Instant) -> bool {
        let mut state = self.lock();
        loop {
            if state.urgent || (state.closed.is_some() && !state.jobs.is_empty()) {
                return true;
            }
            if state.closed.is_some() {
                return false;
            }
            let pause = if state.jobs.is_empty() {
                Duration::from_secs(3600)
            } else {
                match lazy_at.checked_duration_since(Instant::now()) {
                    None | Some(Duration::ZERO) => return true,
                    Some(pause) => pause,
                }
            };
            state.sleeping = true;
            state = self.filled.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0;
            state.sleeping = false;
        }
    }

    /// Takes what goes into one transaction, oldest first.
    pub(crate) fn take(&self) -> Vec<J> {
        let mut state = self.lock();
        let mut weight = 0;
        let count = state.jobs.iter().take_while(|job| {
            let first = weight == 0;
            weight += job.weight().max(1);
            first || weight <= TRANSACTION
        });
        let count = count.count();
        let taken: Vec<J> = state.jobs.drain(..count).collect();
        let was = state.weight;
        state.weight -= taken.iter().map(Job::weight).sum::<usize>();
        state.urgent = state.jobs.iter().any(|job| !job.lazy());
        let relieved = was > FULL && state.weight <= FULL;
        drop(state);
        if relieved {
            self.room.notify_waiters();
        }
        taken
    }

    pub(crate) fn closed(&self) -> Option<Error> {
        self.lock().closed.map(Closed::error)
    }

    pub(crate) fn close(&self, why: Closed) {
        self.lock().closed.get_or_insert(why);
        self.filled.notify_one();
        self.room.notify_waiters();
    }
}
