use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use micro_core::Result;

/// As often the files are looked at, at most.
const LOOK: Duration = Duration::from_secs(1);

/// What is made of some files, and made again when they changed.
pub(crate) struct Watched<T> {
    files: Vec<PathBuf>,
    make: Box<dyn Fn() -> Result<T> + Send + Sync>,
    state: Mutex<State<T>>,
}

struct State<T> {
    made: Option<Arc<T>>,
    /// The files that it was made of, or that could not be used.
    seen: Vec<Stamp>,
    looked: Option<Instant>,
}

/// What changes with a file.
type Stamp = Option<(SystemTime, u64, u64)>;

impl<T> Watched<T> {
    pub(crate) fn new(files: Vec<PathBuf>, make: impl Fn() -> Result<T> + Send + Sync + 'static) -> Self {
        let state = State { made: None, seen: Vec::new(), looked: None };
        Self { files, make: Box::new(make), state: Mutex::new(state) }
    }

    /// Returns what is made of the files as they are now, or were at the last time that they could be used.
    pub(crate) fn get(&self) -> Result<Arc<T>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = &state.made
            && state.looked.is_some_and(|looked| looked.elapsed() < LOOK)
        {
            return Ok(Arc::clone(made));
        }
        let seen: Vec<Stamp> = self.files.iter().map(stamp).collect();
        state.looked = Some(Instant::now());
        if let Some(made) = &state.made
            && state.seen == seen
        {
            return Ok(Arc::clone(made));
        }
        let again = state.made.is_some();
        state.seen = seen;
        match ((self.make)(), &state.made) {
            (Ok(new), _) => {
                if again {
                    tracing::info!(files = ?self.files, "the certificates changed and were read again");
                }
                let new = Arc::new(new);
                state.made = Some(Arc::clone(&new));
                Ok(new)
            }
            // Half of a pair may be there already and the other not yet: the next change is looked at again.
            (Err(error), Some(old)) => {
                tracing::warn!(%error, "the certificates changed and cannot be used; those from before stay");
                Ok(Arc::clone(old))
            }
            (Err(error), None) => Err(error),
        }
    }
}

fn stamp(file: &PathBuf) -> Stamp {
    use std::os::unix::fs::MetadataExt as _;
    let data = fs::metadata(file).ok()?;
    Some((data.modified().ok()?, data.len(), data.ino()))
}

impl<T> fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watched").field(&self.files).finish()
    }
}
