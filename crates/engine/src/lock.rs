use std::fs::File;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use micro_core::{Error, Kind, Result};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::failure::io_failure;

const FIRST_PAUSE: Duration = Duration::from_micros(20);
const LAST_PAUSE: Duration = Duration::from_millis(1);

/// A lock between processes that is fair: who waits gets it before who had it last gets it again.
///
/// Two file locks: whoever wants to work queues for the turn, waits there for the work to be free, and lets the turn go
/// as soon as the work is its own. The kernel lets both go when a process dies.
#[derive(Debug)]
pub struct FairLock {
    path: PathBuf,
    turn: File,
    work: File,
}

/// The lock, held; dropped, the next one has it.
#[derive(Debug)]
pub struct Turn<'a>(&'a FairLock);

impl FairLock {
    /// Opens the lock of a file: `<file>.turn` and `<file>.lock` beside it.
    ///
    /// # Errors
    ///
    /// If they cannot be made.
    pub fn open(file: &Path) -> Result<Self> {
        let open = |end: &str| {
            let path = file.with_extension(end);
            File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .mode(0o600)
                .open(&path)
                .map_err(|error| io_failure(&path, "open a lock file", &error))
        };
        Ok(Self { path: file.to_owned(), turn: open("turn")?, work: open("lock")? })
    }

    /// Waits for the turn, at most this long. It blocks, so it belongs on a thread of its own.
    ///
    /// # Errors
    ///
    /// [`Kind::Unavailable`], naming the process that does not let go: it was stopped, or its disk hangs.
    pub fn acquire(&self, limit: Duration) -> Result<Turn<'_>> {
        let end = Instant::now() + limit;
        self.lock(&self.turn, end, limit)?;
        let got = self.lock(&self.work, end, limit);
        let _ = flock(&self.turn, FlockOperation::Unlock);
        got.map(|()| Turn(self))
    }

    /// Asks again and again, ever more slowly: the kernel's own waiting knows no limit. The work lasts tens of
    /// microseconds, and only the one that has the turn asks for it.
    fn lock(&self, file: &File, end: Instant, limit: Duration) -> Result<()> {
        let mut pause = Duration::ZERO;
        loop {
            match flock(file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(()),
                Err(Errno::WOULDBLOCK | Errno::INTR) => {}
                Err(error) => return Err(io_failure(&self.path, "lock the database", &error.into())),
            }
            if Instant::now() >= end {
                return Err(self.held(limit));
            }
            match pause {
                Duration::ZERO => thread::yield_now(),
                pause => thread::sleep(pause),
            }
            pause = (pause * 2).clamp(FIRST_PAUSE, LAST_PAUSE);
        }
    }

    fn held(&self, limit: Duration) -> Error {
        let holder = match holder(&self.work) {
            Some(process) => format!("process {process}"),
            None => "another process".to_owned(),
        };
        let text = format!(
            "{holder} has held the write lock of {} for {} s; it was stopped, or its disk hangs. Let it go on, or end it",
            self.path.display(),
            limit.as_secs()
        );
        Error::new(Kind::Unavailable, text)
    }

    /// Lets the lock go; nothing if it is not held.
    pub(crate) fn release(&self) {
        let _ = flock(&self.work, FlockOperation::Unlock);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.release();
    }
}

/// Finds who holds a lock: `1: FLOCK  ADVISORY  WRITE 4711 fd:00:123456 0 EOF`.
fn holder(file: &File) -> Option<u32> {
    let inode = format!(":{}", file.metadata().ok()?.ino());
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let fields = locks.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut held = fields.filter(|fields| fields.get(1) == Some(&"FLOCK"));
    held.find(|fields| fields.get(5).is_some_and(|place| place.ends_with(&inode)))?.get(4)?.parse().ok()
}
