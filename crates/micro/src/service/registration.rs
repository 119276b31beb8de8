//! Keeps a node registered: at once if it can be, again and again until it is, and refreshed while it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use micro_core::registry::{Registry, Service as Record};
use micro_core::{Error, Kind, Result};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// How often start-up tries before it goes on without.
const FIRST_TRIES: u32 = 3;
/// Limit of one call to the registry.
const CALL_LIMIT: Duration = Duration::from_secs(5);
const MIN_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// A node that is, or will be, in the registry.
#[derive(Debug)]
pub(super) struct Registration {
    node: Node,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

#[derive(Debug, Clone)]
struct Node {
    registry: Arc<dyn Registry>,
    record: Arc<Record>,
    ttl: Duration,
    registered: Arc<AtomicBool>,
}

impl Registration {
    /// Registers, with a few tries, and then goes on trying and refreshing beside the caller. Zero `interval`: registered
    /// once and never refreshed.
    pub(super) async fn begin(
        registry: Arc<dyn Registry>,
        record: Record,
        ttl: Duration,
        interval: Duration,
        registered: Arc<AtomicBool>,
    ) -> Self {
        let node = Node { registry, record: Arc::new(record), ttl, registered };
        tracing::info!("Registry [{}] Registering node: {}", node.registry.name(), node.id());
        let mut failures = 0;
        while let Err(error) = node.register().await {
            failures += 1;
            if failures == FIRST_TRIES {
                tracing::error!(
                    "Registry [{}] cannot register {} yet: {error}; the service runs, callers find it when the registry answers",
                    node.registry.name(),
                    node.id()
                );
                break;
            }
            sleep(pause(failures)).await;
        }
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(node.clone().keep(interval, failures, stopped));
        Self { node, stop, task }
    }

    /// Tells whether it is in the registry, as far as is known.
    pub(super) fn is_registered(&self) -> bool {
        self.node.registered.load(Ordering::Acquire)
    }

    /// Stops refreshing and takes the node away.
    pub(super) async fn end(self) -> Result<()> {
        // A refresh under way ends first: done later than the deregistration, it would bring the node back.
        self.stop.send_replace(true);
        let abort = self.task.abort_handle();
        if timeout(CALL_LIMIT, self.task).await.is_err() {
            abort.abort();
        }
        let node = self.node;
        tracing::info!("Deregistering node: {}", node.id());
        node.registered.store(false, Ordering::Release);
        limited(&*node.registry, "deregister", node.registry.deregister(&node.record)).await
    }
}

impl Node {
    fn id(&self) -> &str {
        self.record.nodes.first().map_or("", |node| &node.id)
    }

    async fn register(&self) -> Result<()> {
        let done = limited(&*self.registry, "register", self.registry.register(&self.record, self.ttl)).await;
        self.registered.store(done.is_ok(), Ordering::Release);
        metrics::gauge!("micro_service_registered", "service" => self.record.name.clone()).set(if done.is_ok() {
            1.0
        } else {
            0.0
        });
        done
    }

    async fn keep(self, interval: Duration, mut failures: u32, mut stopped: watch::Receiver<bool>) {
        loop {
            let wait = match (failures, interval.is_zero()) {
                (0, true) => Duration::MAX,
                (0, false) => interval,
                (failures, _) => pause(failures),
            };
            tokio::select! {
                _ = stopped.changed() => return,
                () = sleep(wait) => {}
            }
            match self.register().await {
                Ok(()) => {
                    if failures > 0 {
                        tracing::info!("Registry [{}] Registering node: {}", self.registry.name(), self.id());
                    }
                    failures = 0;
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    // At 1, 2, 4, 8 … failures: an outage of an hour is a dozen lines.
                    if failures.is_power_of_two() {
                        tracing::warn!(
                            "Registry [{}] cannot refresh {}, {failures} times now: {error}; trying on",
                            self.registry.name(),
                            self.id()
                        );
                    }
                }
            }
        }
    }
}

fn pause(failures: u32) -> Duration {
    (MIN_PAUSE * 2u32.saturating_pow(failures.saturating_sub(1)).min(1 << 10)).min(MAX_PAUSE)
}

async fn limited(registry: &dyn Registry, what: &'static str, call: impl Future<Output = Result<()>>) -> Result<()> {
    timeout(CALL_LIMIT, call).await.unwrap_or_else(|_| {
        let text = format!("the registry {} did not {what} within {CALL_LIMIT:?}; is it up?", registry.name());
        Err(Error::new(Kind::Timeout, text).with("address", registry.address()))
    })
}
