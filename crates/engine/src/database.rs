use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use micro_core::{Error, Kind, Result};
use rusqlite::{Connection, OpenFlags};
use rustix::fs::fdatasync;

use crate::fail_point;
use crate::failure::{failure, io_failure};
use crate::home::Home;
use crate::lock::FairLock;
use crate::migration::Schema;
use crate::storage::Storage;

/// Pages of the write-ahead log after which a commit copies it back into the file: 16 MiB.
const CHECKPOINT_PAGES: u32 = 4096;
/// The write-ahead log is cut to this size when it starts over, so that one long reader does not cost disk for ever.
const LOG_LIMIT: u32 = 64 << 20;

/// As long as a transaction waits for others at most.
const TURN: Duration = Duration::from_secs(10);

/// The writing side of one database file.
#[derive(Debug)]
pub struct Database {
    path: PathBuf,
    connection: Connection,
    lock: FairLock,
    /// The write-ahead log, to sync it: SQLite would do that with everybody else waiting, and with more than the data.
    log: Option<File>,
    /// A sync failed: the kernel has forgotten what it could not write, and the next sync would say that all is well.
    holed: bool,
    /// There as a file then, for the processes that open the log afterwards: the kernel tells them nothing.
    hole: PathBuf,
}

impl Database {
    /// Opens a file of the folder for writing, makes it where it is missing, and brings it to this program's version.
    ///
    /// # Errors
    ///
    /// [`Kind::Corrupt`](micro_core::Kind::Corrupt), [`Kind::NewerVersion`](micro_core::Kind::NewerVersion),
    /// [`Kind::ReadOnly`](micro_core::Kind::ReadOnly) or [`Kind::DiskFull`](micro_core::Kind::DiskFull), each naming the
    /// file and what to do.
    pub fn open(home: &Home, name: &str, schema: &Schema) -> Result<Self> {
        let path = home.file(name);
        // SQLite gives its other files the mode of this one.
        File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| io_failure(&path, "open the database", &error))?;
        let lock = FairLock::open(&path)?;
        let connection = connect(&path)?;
        {
            // Two processes that make the file at once would see each other's half.
            let _turn = lock.acquire(TURN)?;
            schema.migrate(&path, &connection)?;
            let mode = prepare(&connection).map_err(|error| failure(&path, "open the database", error))?;
            if mode != "wal" {
                let text = format!(
                    "{} cannot be shared by processes: its file system has no shared memory (journal mode {mode}); set \
                     MICRO_HOME to a folder on a local disk",
                    path.display()
                );
                return Err(Error::new(Kind::Config, text));
            }
        }
        let hole = with_ending(&path, "-hole");
        Ok(Self { path, connection, lock, log: None, holed: false, hole })
    }

    /// Opens a file for reading, beside a writing side that is open.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn reader(path: &Path) -> Result<Connection> {
        let connection = connect(path)?;
        connection
            .execute_batch("PRAGMA query_only = 1; PRAGMA cache_size = -2048;")
            .map_err(|error| failure(path, "read the database", error))?;
        Ok(connection)
    }

    /// Returns the connection, for statements within a transaction.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Returns the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Either the log still holds the transaction, or somebody has copied it into the file since, and synced that.
    fn sync_log(&mut self) -> Result<()> {
        self.at("sync the database", fail_point!("engine.sync", &self.path))?;
        let log = match &mut self.log {
            Some(log) => log,
            none => {
                let path = with_ending(&self.path, "-wal");
                let failed = |error| io_failure(&path, "open the write-ahead log", &error);
                none.insert(File::open(&path).map_err(failed)?)
            }
        };
        fdatasync(log).map_err(|error| io_failure(&self.path, "sync the database", &error.into()))
    }

    /// What follows a hole in the log is not found again after a power cut: all of it goes into the file first, and a
    /// new log begins.
    fn heal(&mut self) -> Result<()> {
        self.at("sync the database", fail_point!("engine.heal", &self.path))?;
        // A sync that fails meanwhile says so afterwards, or its mark would go with the one of this hole.
        let _turn = self.lock.acquire(TURN)?;
        let failed = |error| failure(&self.path, "sync the database", error);
        let busy: bool =
            self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).map_err(failed)?;
        if busy {
            let text = format!(
                "cannot sync the database: the log of {} must be emptied after a failed sync, and another process reads \
                 it; it is tried again",
                self.path.display()
            );
            return Err(Error::new(Kind::Unavailable, text));
        }
        self.holed = false;
        std::fs::remove_file(&self.hole).or_else(|error| match error.kind() {
            // Another process was as far at the same time.
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(io_failure(&self.hole, "sync the database", &error)),
        })
    }

    fn at(&self, tried: &'static str, done: std::io::Result<()>) -> Result<()> {
        done.map_err(|error| io_failure(&self.path, tried, &error))
    }

    /// Turns a failure into an error that names this file.
    #[must_use]
    pub fn failure(&self, tried: &'static str, error: rusqlite::Error) -> micro_core::Error {
        failure(&self.path, tried, error)
    }
}

impl Storage for Database {
    fn begin(&mut self) -> Result<()> {
        // Held over begin and commit alike; a guard cannot live beside the connection it protects, so it is let go by
        // name in `commit` and `roll_back`.
        std::mem::forget(self.lock.acquire(TURN)?);
        let begun = self.at("begin a transaction", fail_point!("engine.begin", &self.path)).and_then(|()| {
            let begun = self.connection.prepare_cached("BEGIN IMMEDIATE").and_then(|mut begin| begin.execute([]));
            begun.map(drop).map_err(|error| failure(&self.path, "begin a transaction", error))
        });
        begun.inspect_err(|_| self.lock.release())
    }

    fn commit(&mut self) -> Result<()> {
        let done = self.at("commit", fail_point!("engine.commit", &self.path)).and_then(|()| {
            let done = self.connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
            done.map(drop).map_err(|error| failure(&self.path, "commit", error))
        });
        match done {
            Ok(()) => self.lock.release(),
            Err(_) => self.roll_back(),
        }
        done
    }

    fn roll_back(&mut self) {
        let _ = fail_point!("engine.roll_back", &self.path);
        if !self.connection.is_autocommit() {
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        self.lock.release();
    }

    fn sync(&mut self) -> Result<()> {
        if self.holed || self.hole.exists() {
            self.heal()?;
        } else if let Err(error) = self.sync_log() {
            self.holed = true;
            let _turn = self.lock.acquire(TURN);
            // A disk that does not even take an empty file keeps this from the others, not from us.
            let _ = fail_point!("engine.hole", &self.path)
                .and_then(|()| File::options().create(true).append(true).mode(0o600).open(&self.hole));
            return Err(error);
        }
        self.at("sync the database", fail_point!("engine.synced", &self.path))
    }
}

/// Returns the path of a file that SQLite keeps beside the database.
pub(crate) fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn connect(path: &Path) -> Result<Connection> {
    let failed = |error| failure(path, "open the database", error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(Duration::from_secs(5)).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Returns the journal mode that was got.
fn prepare(connection: &Connection) -> rusqlite::Result<String> {
    let mode = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    // The log is synced before it is copied back; after a commit we do that ourselves.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", LOG_LIMIT)?;
    connection.pragma_update(None, "cache_size", -8192)?;
    Ok(mode)
}
