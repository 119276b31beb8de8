use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use micro_core::Result;
use rustix::fs::{FlockOperation, flock};

use crate::failure::io_failure;

/// A lock between processes that is fair: who waits gets it before who had it last gets it again.
///
/// Two file locks: whoever wants to work queues for the turn, waits there for the work to be free, and lets the turn go
/// as soon as the work is its own. The kernel lets both go when a process dies.
#[derive(Debug)]
pub struct FairLock {
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
        Ok(Self { turn: open("turn")?, work: open("lock")? })
    }

    /// Waits for the turn. It blocks, so it belongs on a thread of its own.
    ///
    /// # Errors
    ///
    /// If the kernel refuses locks on this file system.
    pub fn acquire(&self) -> Result<Turn<'_>> {
        lock(&self.turn, FlockOperation::LockExclusive)?;
        let got = lock(&self.work, FlockOperation::LockExclusive);
        let _ = flock(&self.turn, FlockOperation::Unlock);
        got.map(|()| Turn(self))
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

fn lock(file: &File, operation: FlockOperation) -> Result<()> {
    loop {
        match flock(file, operation) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(io_failure(Path::new("the lock file"), "lock the database", &error.into())),
        }
    }
}
