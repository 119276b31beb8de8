use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use micro_core::broker::{Outcomes, Settled};
use micro_core::{Error, Result};
use micro_engine::{Bell, Database, Home, Listener, Process, Shared, Signal, Writer, failure};
use rusqlite::Connection;
use tokio::sync::watch;

use crate::job::{Job, What, Work};
use crate::place::Place;
use crate::snapshot::Snapshot;
use crate::tables::{FILE, SCHEMA};
use crate::watcher;

static OPEN: Shared<Folder> = Shared::new();

/// Who registers: the same one when a folder is opened anew, so that what it registered before lives on.
static PROCESS: Shared<Process> = Shared::new();

/// The registry of a folder, as this process uses it.
pub(crate) struct Folder {
    home: Home,
    process: Arc<Process>,
    database: Place,
    writer: Writer<Job>,
    reader: Mutex<Connection>,
    signal: Arc<OnceLock<Signal>>,
    watched: watch::Sender<Seen>,
}

/// What the watches are told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) snapshot: Arc<Snapshot>,
    /// The database is not where it was, so that nothing is heard of any more.
    pub(crate) gone: Option<Arc<Error>>,
}

impl Folder {
    /// Opens the folder, or returns it if it is open. It blocks.
    pub(crate) fn open(path: &Path) -> Result<Arc<Self>> {
        let home = Home::open(path, "registry")?;
        let folder = home.path().to_owned();
        OPEN.get_or_open(&folder, Self::serves, || {
            // Taken for dead where its sign of life does not lie, as in a folder that was made anew.
            let process = PROCESS.get_or_open(&folder, Process::is_seen, || Process::enter(&home))?;
            let storage = Database::open(&home, FILE, &SCHEMA)?;
            let database = Place::of(storage.path())?;
            let reader = Mutex::new(Database::reader(database.path())?);
            let signal = Arc::new(OnceLock::new());
            let bell = Bell::open(&home, &process)?;
            let work =
                Work { process: Arc::clone(&process), database: database.clone(), bell, signal: Arc::clone(&signal) };
            let writer = Writer::start("micro-registry-write", storage, work)?;
            Ok(Self { home, process, database, writer, reader, signal, watched: watch::Sender::default() })
        })
    }

    /// Tells whether it still writes, and where others look for it; whoever opens the folder otherwise gets another.
    pub(crate) fn serves(&self) -> bool {
        self.writer.closed().is_none() && self.database.check().is_ok()
    }

    /// Writes, and waits until the others see it.
    pub(crate) async fn write(&self, what: What) -> Result<()> {
        let (written, promise): (Settled, _) = Outcomes::pending(1);
        if let Err((job, error)) = self.writer.push(Job { what, promise }) {
            job.promise.complete_all(|_| Err(error.duplicate()));
        }
        written.first().await
    }

    /// Reads one service, or all. It blocks.
    pub(crate) fn read(&self, service: Option<&str>) -> Result<Snapshot> {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        self.snapshot(&reader, service)
    }

    fn snapshot(&self, reader: &Connection, service: Option<&str>) -> Result<Snapshot> {
        let snapshot = Snapshot::read(reader, &self.process, service);
        // Afterwards: in a folder that is not there every other process looks dead.
        self.database.check()?;
        snapshot.map_err(|error| failure(self.database.path(), "read services", error))
    }

    /// Reads all, and tells the watches if it changed. It blocks.
    pub(crate) fn refresh(&self) -> Result<()> {
        // Told under the lock it was read under, so that nobody tells something older afterwards.
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let snapshot = self.snapshot(&reader, None);
        let gone = self.database.check().err().map(Arc::new);
        self.watched.send_if_modified(|told| {
            let turned = told.gone.is_some() != gone.is_some();
            told.gone = gone;
            match &snapshot {
                Ok(snapshot) if *told.snapshot != *snapshot => told.snapshot = Arc::new(snapshot.clone()),
                _ => return turned,
            }
            true
        });
        snapshot.map(drop)
    }

    /// Returns what is registered, now and as it changes. The watching thread begins with the first one. It blocks.
    pub(crate) fn watch(self: &Arc<Self>) -> Result<watch::Receiver<Seen>> {
        {
            // The reader's lock is that of the start, too: one thread listens.
            let _one = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
            if self.signal.get().is_none() {
                let listener = Listener::open(&self.home, &self.process)?;
                let signal = listener.signal();
                watcher::start(Arc::downgrade(self), listener)?;
                let _ = self.signal.set(signal);
            }
        }
        self.refresh()?;
        Ok(self.watched.subscribe())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(signal) = self.signal.get() {
            signal.notify();
        }
    }
}

impl std::fmt::Debug for Folder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Folder").field("database", &self.database).finish_non_exhaustive()
    }
}
