use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use micro_core::Result;
use rustix::fs::{FlockOperation, flock};

use crate::clock::Clock;
use crate::failure::io_failure;
use crate::home::Home;

/// This process, as the others on the folder see it: it lives as long as it holds the lock on `run/<id>.alive`.
///
/// The kernel lets the lock go however the process ends, so that a death is noticed at once, without waiting for a lease.
#[derive(Debug)]
pub struct Process {
    id: String,
    run: PathBuf,
    alive: File,
}

impl Process {
    /// Takes an id and its lock, and clears away what dead processes left.
    ///
    /// # Errors
    ///
    /// If the folder cannot be written.
    pub fn enter(home: &Home) -> Result<Self> {
        let run = home.run().to_owned();
        let failed = |error: io::Error| io_failure(&run, "enter the folder", &error);
        sweep(&run);
        loop {
            let id = format!("{}-{:x}", std::process::id(), Clock::nanos());
            let path = run.join(format!("{id}.alive"));
            let alive = match File::options().create_new(true).write(true).mode(0o600).open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(failed(error)),
            };
            flock(&alive, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;
            // Between the two calls another process may have taken it for a dead one's and removed it.
            let inode = alive.metadata().map_err(failed)?.ino();
            if std::fs::metadata(&path).is_ok_and(|found| found.ino() == inode) {
                return Ok(Self { id, run, alive });
            }
        }
    }

    /// Returns the id: unique on this machine until it boots again.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Tells whether the others find this process in the folder: it may have been moved or made anew meanwhile.
    #[must_use]
    pub fn is_seen(&self) -> bool {
        let mine = self.alive.metadata();
        let found = std::fs::metadata(self.run.join(format!("{}.alive", self.id)));
        mine.is_ok_and(|mine| found.is_ok_and(|found| (found.dev(), found.ino()) == (mine.dev(), mine.ino())))
    }

    /// Tells whether the process of an id lives. What a dead one left in the folder is removed.
    #[must_use]
    pub fn is_alive(&self, id: &str) -> bool {
        id == self.id || is_alive(&self.run, id)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        remove(&self.run, &self.id);
    }
}

fn is_alive(run: &Path, id: &str) -> bool {
    let file = match File::options().write(true).open(run.join(format!("{id}.alive"))) {
        Ok(file) => file,
        // Only what is gone is dead: this process may be out of descriptors, and the other one at work.
        Err(error) => return error.kind() != io::ErrorKind::NotFound,
    };
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(_) => true,
        Ok(()) => {
            // Removed under the lock, so that nobody can be about to take this very file for its own.
            remove(run, id);
            false
        }
    }
}

fn remove(run: &Path, id: &str) {
    for end in ["sock", "alive"] {
        let _ = std::fs::remove_file(run.join(format!("{id}.{end}")));
    }
}

fn sweep(run: &Path) {
    for entry in std::fs::read_dir(run).into_iter().flatten().flatten() {
        if let Some(id) = entry.file_name().to_str().and_then(|name| name.strip_suffix(".alive")) {
            let _ = is_alive(run, id);
        }
    }
}
