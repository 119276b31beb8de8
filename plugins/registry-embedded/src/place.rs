use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use micro_core::{Error, Kind, Result};
use micro_engine::io_failure;

/// A file that was opened, told from what lies at its path later. Whoever has it open goes on working in it after it was
/// moved or removed, and nobody else sees what it writes. SQLite knows that as well: closed, such a file leaves the log of
/// the one in its place alone.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    path: PathBuf,
    file: (u64, u64),
}

impl Place {
    /// Notes what lies at a path.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let file = identity(path).map_err(|error| io_failure(path, "look at the database", &error))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Returns the path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Fails if the file is not there any more.
    pub(crate) fn check(&self) -> Result<()> {
        match identity(&self.path) {
            Ok(file) if file == self.file => Ok(()),
            _ => Err(Error::new(
                Kind::Unavailable,
                format!(
                    "the database {} was moved or removed while it was in use; it is opened anew at the next call",
                    self.path.display()
                ),
            )),
        }
    }
}

fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    fs::metadata(path).map(|found| (found.dev(), found.ino()))
}
