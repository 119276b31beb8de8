use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::Inner;
use super::entry::Entry;
use crate::registry::Registry;
use crate::{Error, Result};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Begins to watch a service, unless somebody does.
pub(super) fn start(inner: &Arc<Inner>, entry: &Arc<Entry>) {
    if !entry.begin_watch() {
        return;
    }
    // Made here, so that it also runs when the task is dropped before its first poll.
    let watching = Watching(Arc::clone(entry));
    let cache = Arc::downgrade(inner);
    let registry = Arc::clone(&inner.registry);
    let (idle, epoch) = (inner.idle, inner.epoch);
    tokio::spawn(async move {
        let entry = &watching.0;
        tokio::select! {
            () = watch(&*registry, entry) => {}
            () = unused(entry, epoch, idle) => {}
            () = entry.stopped.notified() => {}
        }
        if let Some(cache) = Weak::upgrade(&cache) {
            cache.forget(entry);
        }
    });
}

/// Says that nobody watches any more: also when the runtime of the task ends.
struct Watching(Arc<Entry>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.end_watch();
    }
}

async fn unused(entry: &Entry, epoch: Instant, idle: Duration) {
    loop {
        let until = epoch + entry.last_used() + idle;
        if until <= Instant::now() {
            return;
        }
        tokio::time::sleep_until(until).await;
    }
}

async fn watch(registry: &dyn Registry, entry: &Entry) {
    let mut pause = FIRST_PAUSE;
    loop {
        let began = Instant::now();
        let error = match changes(registry, entry).await {
            Ok(never) => match never {},
            Err(error) => error,
        };
        entry.lost(&error);
        if began.elapsed() > LONGEST_PAUSE {
            pause = FIRST_PAUSE;
        }
        tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn changes(registry: &dyn Registry, entry: &Entry) -> Result<std::convert::Infallible, Error> {
    let mut watch = registry.watch(Some(&entry.service)).await?;
    loop {
        tokio::select! {
            change = watch.next() => entry.changed(change?),
            () = entry.out_of_patience() => entry.let_go(),
        }
    }
}
