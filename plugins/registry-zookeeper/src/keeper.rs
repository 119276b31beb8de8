//! What is done for registered nodes while nobody calls: they end when their time to live does, and come back when their
//! session was lost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::error::Failed;
use crate::node::{Nodes, Own};
use crate::session::Sessions;

/// So often it is looked whether the session lives.
const LOOK: Duration = Duration::from_secs(1);
/// Between two tries to delete what is over.
const AGAIN: Duration = Duration::from_millis(200);

/// The session and the nodes of a client.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) sessions: Sessions,
    nodes: Nodes,
    changed: Notify,
    /// The client was dropped: everything is over.
    leaving: AtomicBool,
}

impl Keeper {
    pub(crate) fn new(sessions: Sessions) -> Self {
        Self { sessions, nodes: Nodes::default(), changed: Notify::new(), leaving: AtomicBool::new(false) }
    }

    /// Registers a node, or refreshes it.
    pub(crate) async fn register(&self, path: &str, version: &str, data: &[u8], ttl: Duration) -> Result<(), Failed> {
        self.sessions.at_most(ttl);
        let node = self.nodes.node(path);
        let registered = self.sessions.call(async |session| {
            let mut own = node.lock().await;
            session.put(path, data).await?;
            *own = Some(Own::new(version, data.to_vec(), ttl));
            Ok(())
        });
        let registered = registered.await;
        self.changed.notify_one();
        registered
    }

    /// Takes a node away if what is under its path is as `is_meant` says.
    pub(crate) async fn deregister(
        &self,
        path: &str,
        version: &str,
        is_meant: impl Fn(&[u8]) -> bool + Send + Sync,
    ) -> Result<(), Failed> {
        let node = self.nodes.node(path);
        self.sessions
            .call(async |session| {
                let mut own = node.lock().await;
                // Whether the server hears of it or not: it is not put there again.
                if own.as_ref().is_some_and(|own| own.version == version) {
                    *own = None;
                }
                session.remove(path, |data, _| is_meant(data)).await
            })
            .await
    }

    /// Keeps the nodes, for ever.
    pub(crate) async fn run(&self) {
        // The session that all nodes are in.
        let mut moved = 0;
        loop {
            if self.nodes.tidy() {
                self.changed.notified().await;
            }
            let look = Instant::now() + LOOK;
            let next = match self.round(&mut moved).await {
                Ok(due) => due.map_or(look, |due| due.min(look)),
                Err(failed) => {
                    tracing::debug!(?failed, "the ZooKeeper registry cannot keep its nodes now; it tries again");
                    Instant::now() + AGAIN
                }
            };
            tokio::select! {
                () = sleep_until(next) => {}
                () = self.changed.notified() => {}
            }
        }
    }

    /// Looks at every node once, and returns when the next one is over.
    async fn round(&self, moved: &mut u64) -> Result<Option<Instant>, Failed> {
        let number = self.sessions.call(async |session| Ok(session.number)).await?;
        let (mut due, nodes) = (None::<Instant>, self.nodes.all());
        for (path, node) in nodes {
            let kept = self.sessions.call(async |session| {
                let mut locked = node.lock().await;
                let Some(own) = &*locked else { return Ok(None) };
                let is_over = self.leaving.load(Ordering::Relaxed) || own.until <= Instant::now();
                if is_over {
                    // Not what somebody else has put there since.
                    let own = own.data.clone();
                    session.remove(&path, |data, stat| session.owns(stat) || data == own).await?;
                    *locked = None;
                    return Ok(None);
                }
                if *moved != number {
                    session.put(&path, &own.data).await?;
                }
                Ok(Some(own.until))
            });
            if let Some(until) = kept.await? {
                due = Some(due.map_or(until, |due| due.min(until)));
            }
        }
        *moved = number;
        self.sessions.moved(number);
        Ok(due)
    }

    /// Ends every node soon.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
        self.changed.notify_one();
    }

    /// Waits until no node is left.
    pub(crate) async fn left(&self) {
        while !self.nodes.tidy() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
