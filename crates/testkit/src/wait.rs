//! Waiting for what the journal shall say, within a limit of real time.

use std::time::{Duration, Instant};

use micro::{Error, Kind, Result};
use tokio::time::timeout;

use crate::journal::{Journal, State};

/// How often the limit is looked at; it is real time, so that moving the clock does not end a wait.
const LOOK: Duration = Duration::from_millis(20);

/// What a look at the journal found.
pub(crate) enum Look<T> {
    /// It is as it should be.
    Found(T),
    /// It is not yet.
    NotYet,
    /// It will never be.
    Wrong(String),
}

/// Looks until it is found or the limit is over; `late` says what was waited for.
///
/// # Errors
///
/// [`Kind::FailedPrecondition`] for what is wrong, [`Kind::Timeout`] for what did not come.
pub(crate) async fn until<T>(
    journal: &Journal,
    limit: Duration,
    mut look: impl FnMut(&State) -> Look<T>,
    late: impl FnOnce(&State) -> String,
) -> Result<T> {
    let began = Instant::now();
    let mut changes = journal.changes();
    loop {
        changes.borrow_and_update();
        // The lock goes before the next is taken.
        let looked = look(&journal.lock());
        match looked {
            Look::Found(found) => return Ok(found),
            Look::Wrong(text) => return Err(Error::new(Kind::FailedPrecondition, text)),
            Look::NotYet if began.elapsed() >= limit => {
                return Err(Error::new(Kind::Timeout, late(&journal.lock())));
            }
            Look::NotYet => {}
        }
        let left = limit.saturating_sub(began.elapsed());
        // Over or not: the loop looks again.
        let _ = timeout(LOOK.min(left), changes.changed()).await;
    }
}
