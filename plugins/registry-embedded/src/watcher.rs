use std::sync::Weak;
use std::thread;
use std::time::Duration;

use micro_core::Result;
use micro_engine::{Listener, io_failure};

use crate::folder::Folder;

/// How often everything is looked at: a process dies, and a time to live ends, without a word.
const TICK: Duration = Duration::from_millis(250);

/// Starts the one thread of this process that hears of changes and spreads them to its watches.
pub(crate) fn start(folder: Weak<Folder>, mut listener: Listener) -> Result<()> {
    let run = move || {
        let (mut wakes, mut failing) = (Vec::new(), false);
        loop {
            wakes.clear();
            listener.wait(TICK, &mut wakes);
            let Some(folder) = folder.upgrade() else { return };
            // What was known stays known: callers go on with it.
            let refreshed = folder.refresh();
            // Once for a row of them: an outage of an hour is 14,400 ticks.
            if let Err(error) = &refreshed
                && !failing
            {
                tracing::warn!(%error, "the embedded registry could not be read; it is tried again");
            }
            failing = refreshed.is_err();
        }
    };
    thread::Builder::new()
        .name("micro-registry-watch".to_owned())
        .spawn(run)
        .map(drop)
        .map_err(|error| io_failure(std::path::Path::new("micro-registry-watch"), "start the watching thread", &error))
}
