use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::{Phase, Shared, Stats};
use crate::cores;

/// A server that answers calls. Dropped, it stops at once and cuts off what runs; [`stop`](Self::stop) is kinder.
pub struct Running {
    address: SocketAddr,
    shared: Arc<Shared>,
    phase: watch::Sender<Phase>,
}

impl Running {
    pub(super) fn new(address: SocketAddr, shared: Arc<Shared>, phase: watch::Sender<Phase>) -> Self {
        Self { address, shared, phase }
    }

    /// Returns where it listens, with the port it got.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats.clone()
    }

    /// Says by its health (`grpc.health.v1`) that it is about to stop. It answers calls as before, so that who learns of it
    /// late loses none.
    pub fn leave(&self) {
        self.shared.health.stop();
    }

    /// Stops: takes no connection and no new call, lets running calls finish, and after `limit` cuts off the rest.
    ///
    /// Callers are told to go elsewhere (GOAWAY), so that none of their calls fails for it. Returns how many calls were
    /// cut off. A second stop while the first runs shortens its limit if it is the shorter.
    pub async fn stop(&self, limit: Duration) -> usize {
        self.shared.health.stop();
        self.phase.send_if_modified(|phase| advance(phase, Phase::Stopping));
        let (phase, shared) = (self.phase.clone(), self.shared.clone());
        let stopped = cores::hop(async move {
            // Connections hold a receiver each; the last one gone ends the wait.
            if tokio::time::timeout(limit, phase.closed()).await.is_ok() {
                return 0;
            }
            let cut = shared.stats.in_flight();
            phase.send_if_modified(|phase| advance(phase, Phase::Cut));
            phase.closed().await;
            cut
        });
        stopped.await.unwrap_or(0)
    }
}

fn advance(phase: &mut Phase, to: Phase) -> bool {
    let later = *phase < to;
    if later {
        *phase = to;
    }
    later
}

impl Drop for Running {
    fn drop(&mut self) {
        self.phase.send_if_modified(|phase| advance(phase, Phase::Cut));
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("address", &self.address)
            .field("phase", &*self.phase.borrow())
            .finish_non_exhaustive()
    }
}
