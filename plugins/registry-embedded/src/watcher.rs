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
        let mut wakes = Vec::new();
        loop {
            wakes.clear();
            listener.wait(TICK, &mut wakes);
            let Some(folder) = folder.upgrade() else { return };
            // What was known stays known: callers go on with it.
            if let Err(error) = folder.refresh() {
                tracing::warn!(%error, "the embedded registry could not be read; it is tried again");
            }
        }
    };
    thread::Builder::new()
        .name("micro-registry-watch".to_owned())
        .spawn(run)
        .map(drop)
        .map_err(|error| io_failure(std::path::Path::new("micro-registry-watch"), "start the watching thread", &error))
}
