use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use micro_core::broker::{Outcomes, Settled};
use micro_core::{Error, Result};
use micro_engine::{Bell, Database, Home, Listener, Process, Shared, Signal, Wake, Writer, failure};

use crate::config::Settings;
use crate::feeder;
use crate::job::Job;
use crate::member::Member;
use crate::tables::{FILE, SCHEMA, topic};
use crate::work::Work;

static OPEN: Shared<Folder> = Shared::new();

/// The database folder, as this process uses it: one writer thread, and one reader thread once somebody subscribes,
/// however many brokers there are.
pub(crate) struct Folder {
    home: Home,
    pub(crate) process: Arc<Process>,
    pub(crate) database: PathBuf,
    pub(crate) settings: Arc<Settings>,
    writer: Writer<Job>,
    hub: Arc<Hub>,
    members: Mutex<Vec<Weak<Member>>>,
}

impl Folder {
    /// Opens the folder, or returns it if it is open. It blocks.
    pub(crate) fn open(settings: &Arc<Settings>) -> Result<Arc<Self>> {
        let home = Home::open(settings.home()?, "broker")?;
        let folder = home.path().to_owned();
        let serves = |folder: &Self| folder.closed().is_none();
        OPEN.get_or_open(&folder, serves, || {
            let process = Arc::new(Process::enter(&home)?);
            let storage = Database::open(&home, FILE, &SCHEMA)?;
            let database = storage.path().to_owned();
            let hub = Arc::new(Hub::default());
            let bell = Bell::open(&home, &process)?;
            let work = Work::new(Arc::clone(&process), Arc::clone(&hub), bell, Arc::clone(settings));
            let writer = Writer::start("micro-broker-write", storage, work)?;
            let members = Mutex::default();
            Ok(Self { home, process, database, settings: Arc::clone(settings), writer, hub, members })
        })
    }

    /// Enqueues a job; one that is refused is answered with the reason.
    pub(crate) fn push(&self, job: Job) {
        if let Err((job, error)) = self.writer.push(job) {
            job.fail(&error);
        }
    }

    /// Returns why nothing more is written; whoever opens the folder then gets another.
    pub(crate) fn closed(&self) -> Option<Error> {
        self.writer.closed()
    }

    /// Reads a row where it lies now. It blocks.
    pub(crate) fn readable(&self) -> Result<()> {
        let reader = Database::reader(&self.database)?;
        topic::any(&reader).map_err(|error| failure(&self.database, "read the database", error))
    }

    /// Waits until the queue of the writer has room.
    pub(crate) async fn ready(&self) -> Result<()> {
        self.writer.ready().await
    }

    /// Waits until everything that is queued now is written.
    pub(crate) async fn flush(&self) -> Result<()> {
        let (flushed, promise): (Settled, _) = Outcomes::pending(1);
        self.push(Job::Flush { promise });
        flushed.first().await
    }

    /// Wakes the reader thread.
    pub(crate) fn signal(&self) {
        self.hub.signal();
    }

    pub(crate) fn take_wakes(&self, wakes: &mut Vec<Wake>) {
        wakes.append(&mut self.hub.lock());
    }

    /// Has the reader thread look after a member. The thread begins with the first one. It blocks shortly.
    pub(crate) fn add(self: &Arc<Self>, member: &Arc<Member>) -> Result<()> {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        if self.hub.signal.get().is_none() {
            let listener = Listener::open(&self.home, &self.process)?;
            let reader = Database::reader(&self.database)?;
            let signal = listener.signal();
            feeder::start(Arc::downgrade(self), listener, reader)?;
            let _ = self.hub.signal.set(signal);
        }
        members.retain(|member| member.strong_count() > 0);
        members.push(Arc::downgrade(member));
        drop(members);
        self.signal();
        Ok(())
    }

    /// Returns the members that live.
    pub(crate) fn members(&self) -> Vec<Arc<Member>> {
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.iter().filter_map(Weak::upgrade).collect()
    }

    /// Forgets a member.
    pub(crate) fn remove(&self, member: &Member) {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.retain(|other| !std::ptr::eq(other.as_ptr(), member));
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The reader thread sees that the folder is gone; the writer thread writes what is queued and ends.
        self.hub.signal();
    }
}

impl fmt::Debug for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Folder").field("database", &self.database).finish_non_exhaustive()
    }
}

/// How the writer thread tells the reader thread of its own process what is new.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    wakes: Mutex<Vec<Wake>>,
    signal: OnceLock<Signal>,
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, Vec<Wake>> {
        self.wakes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn wake(&self, wakes: &[Wake]) {
        if let Some(signal) = self.signal.get() {
            self.lock().extend_from_slice(wakes);
            signal.notify();
        }
    }

    fn signal(&self) {
        if let Some(signal) = self.signal.get() {
            signal.notify();
        }
    }
}
