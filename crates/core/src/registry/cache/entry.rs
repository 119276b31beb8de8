use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Mutex, Notify};
use tokio::time::Instant;

use super::Known;
use super::records::Records;
use crate::Error;
use crate::registry::{Change, Service};

/// How long nodes that a registry forgot may take to register again: a little more than the usual 30 s between two
/// heart-beats.
const PATIENCE: Duration = Duration::from_secs(35);

/// One watched service.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) service: Arc<str>,
    /// Held by the one who asks the registry.
    pub(super) asking: Mutex<()>,
    pub(super) stopped: Notify,
    state: RwLock<State>,
    watched: AtomicBool,
    /// Milliseconds since the cache was made.
    last_used: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    records: Records,
    known: Option<Known>,
    asked: Option<Instant>,
    /// When nodes that the registry forgot are let go.
    patience: Option<Instant>,
}

impl Entry {
    pub(super) fn new(service: &str) -> Self {
        Self {
            service: service.into(),
            asking: Mutex::new(()),
            stopped: Notify::new(),
            state: RwLock::default(),
            watched: AtomicBool::new(false),
            last_used: AtomicU64::new(0),
        }
    }

    pub(super) fn known(&self) -> Option<Known> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).known.clone()
    }

    pub(super) fn used(&self, epoch: Instant) {
        self.last_used.store(epoch.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    pub(super) fn last_used(&self) -> Duration {
        Duration::from_millis(self.last_used.load(Ordering::Relaxed))
    }

    pub(super) fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Acquire)
    }

    /// Tells whether the caller is the one to watch.
    pub(super) fn begin_watch(&self) -> bool {
        !self.watched.swap(true, Ordering::AcqRel)
    }

    pub(super) fn end_watch(&self) {
        self.watched.store(false, Ordering::Release);
    }

    pub(super) fn stop(&self) {
        self.stopped.notify_one();
    }

    pub(super) fn asked_within(&self, limit: Duration) -> bool {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.asked.is_some_and(|asked| asked.elapsed() < limit)
    }

    /// Takes the registry's full answer.
    pub(super) fn heard(&self, services: Vec<Service>) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.asked = Some(Instant::now());
        state.apply(&self.service, Change::State(services));
    }

    /// Takes a change.
    pub(super) fn changed(&self, change: Change) {
        self.state.write().unwrap_or_else(PoisonError::into_inner).apply(&self.service, change);
    }

    /// Waits until nodes that the registry forgot have had their time; for ever if there are none.
    pub(super) async fn out_of_patience(&self) {
        let patience = self.state.read().unwrap_or_else(PoisonError::into_inner).patience;
        match patience {
            Some(until) => tokio::time::sleep_until(until).await,
            None => std::future::pending().await,
        }
    }

    /// Lets go the nodes that did not register again.
    pub(super) fn let_go(&self) {
        self.state.write().unwrap_or_else(PoisonError::into_inner).let_go(&self.service);
    }

    /// Notes that the registry is away, and says so once.
    pub(super) fn lost(&self, error: &Error) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.asked = Some(Instant::now());
        let Some(known) = &mut state.known else { return };
        if known.stale.is_none() {
            known.stale = Some(Instant::now());
            let nodes = known.candidates.len();
            metrics::gauge!("micro_registry_cache_stale", "service" => self.service.to_string()).set(1.0);
            tracing::warn!(service = %self.service, nodes, %error, "the registry is away; going on with the nodes known before");
        }
    }
}

impl State {
    fn apply(&mut self, service: &Arc<str>, change: Change) {
        if self.known.as_ref().is_some_and(Known::is_stale) {
            self.back(service, &change);
        }
        let moved = self.records.apply(service, change);
        self.show(service, moved);
    }

    /// The registry answers again, with this.
    fn back(&mut self, service: &Arc<str>, change: &Change) {
        metrics::gauge!("micro_registry_cache_stale", "service" => service.to_string()).set(0.0);
        // Programs that live register again, each in its time. Until then a registry that lost its data says of all of
        // them that they are gone.
        if self.records.is_lost_by(service, change) {
            self.records.keep();
            self.patience = Some(Instant::now() + PATIENCE);
            tracing::warn!(%service, "the registry is back and lists no node; those known before may register again for {PATIENCE:?}");
        } else {
            tracing::info!(%service, "the registry is back");
        }
    }

    fn let_go(&mut self, service: &Arc<str>) {
        self.patience = None;
        let gone = self.records.let_go();
        if gone > 0 {
            tracing::info!(%service, gone, "nodes that did not register again are gone");
            self.show(service, true);
        }
    }

    /// Shows what is known by now.
    fn show(&mut self, service: &Arc<str>, moved: bool) {
        match &mut self.known {
            Some(known) if !moved => known.stale = None,
            _ => {
                let before = self.known.as_ref().map(|known| &known.candidates[..]).unwrap_or_default();
                let candidates = self.records.candidates(service, before);
                self.known = Some(Known { candidates, unusable: self.records.unusable(service), stale: None });
            }
        }
    }
}
