//! Calls that begin at a rate, and what becomes of them.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use micro::Client;
use tokio::task::JoinSet;

use crate::support::{LIMIT, until};

/// Calls under way at most: a slow machine makes fewer a second.
const AT_ONCE: usize = 400;

/// How often the calls of a moment are begun.
const TICK: Duration = Duration::from_millis(5);

/// What became of the calls so far.
#[derive(Default)]
pub(crate) struct Tally {
    calls: AtomicUsize,
    pub(crate) done: AtomicUsize,
    pub(crate) failed: Mutex<Vec<String>>,
    /// The processes that answered.
    pub(crate) seen: Mutex<HashSet<Bytes>>,
}

impl Tally {
    pub(crate) fn failed(&self) -> usize {
        self.failed.lock().unwrap().len()
    }
}

/// Calls that begin at a rate, whether those before are answered or not.
pub(crate) struct Callers {
    pub(crate) tally: Arc<Tally>,
    stop: Arc<AtomicBool>,
    pacing: tokio::task::JoinHandle<()>,
}

impl Callers {
    pub(crate) fn start(client: &Client, name: &str, rate: u32, idempotent: bool) -> Self {
        let (tally, stop) = (Arc::<Tally>::default(), Arc::<AtomicBool>::default());
        let (client, name, counted, over) = (client.clone(), name.to_owned(), Arc::clone(&tally), Arc::clone(&stop));
        let pacing = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(TICK);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
            let mut calls = JoinSet::new();
            while !over.load(Ordering::SeqCst) {
                ticks.tick().await;
                while calls.try_join_next().is_some() {}
                for _ in 0..rate * TICK.as_millis() as u32 / 1_000 {
                    if calls.len() >= AT_ONCE {
                        break;
                    }
                    counted.calls.fetch_add(1, Ordering::SeqCst);
                    calls.spawn(one(client.clone(), name.clone(), idempotent, Arc::clone(&counted)));
                }
            }
            while calls.join_next().await.is_some() {}
        });
        Self { tally, stop, pacing }
    }

    /// Waits until so many more calls are answered or have failed.
    pub(crate) async fn pass(&self, calls: usize) {
        let goal = self.tally.done.load(Ordering::SeqCst) + calls;
        until("calls go on", async || self.tally.done.load(Ordering::SeqCst) >= goal).await;
    }

    pub(crate) async fn end(self) -> Arc<Tally> {
        self.stop.store(true, Ordering::SeqCst);
        tokio::time::timeout(LIMIT, self.pacing).await.expect("all calls end").unwrap();
        let (calls, done) = (self.tally.calls.load(Ordering::SeqCst), self.tally.done.load(Ordering::SeqCst));
        assert_eq!(calls, done);
        self.tally
    }
}

async fn one(client: Client, name: String, idempotent: bool, tally: Arc<Tally>) {
    let body = Bytes::new();
    let call = client.call::<Bytes, Bytes>(&name, "Echo.Nap", &body);
    let outcome = if idempotent { call.idempotent().await } else { call.await };
    match outcome {
        Ok(process) => drop(tally.seen.lock().unwrap().insert(process)),
        Err(error) => tally.failed.lock().unwrap().push(error.to_string()),
    }
    tally.done.fetch_add(1, Ordering::SeqCst);
}
