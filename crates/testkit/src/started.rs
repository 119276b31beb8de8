//! Services that run in a kit.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use micro::broker::Broker;
use micro::{Error, Kind, Result, Running};

use crate::broker::Recorder;
use crate::clock::turns;

/// A service that runs in a kit. The kit keeps it running: dropping this does nothing.
#[derive(Clone)]
pub struct Started(Arc<Inner>);

struct Inner {
    name: String,
    address: SocketAddr,
    broker: Recorder,
    running: Mutex<Option<Running>>,
}

impl Started {
    pub(crate) fn new(running: Running, broker: Recorder) -> Self {
        let (name, address) = (running.name().to_owned(), running.address());
        Self(Arc::new(Inner { name, address, broker, running: Mutex::new(Some(running)) }))
    }

    /// Returns the name that callers use.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the address listened on, on loopback.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Stops it as a signal does in production: handlers finish within the drain limit, the rest goes back to its queues.
    ///
    /// # Errors
    ///
    /// What the service's stop returns; [`Kind::Closed`] if it has been stopped or has crashed.
    pub async fn stop(&self) -> Result<()> {
        let stopped = self.take()?.stop().await;
        // Callers hear that its node is gone.
        turns().await;
        stopped
    }

    /// Lets it crash: what it has in its hands goes back to its queues at once, its handlers are cancelled where they
    /// are, nothing it still does reaches the broker, no hook runs. Its node is gone from the registry, as if the time
    /// to live had passed.
    ///
    /// To have it back, start the production service anew.
    ///
    /// # Errors
    ///
    /// [`Kind::Closed`] if it has been stopped or has crashed.
    pub async fn crash(&self) -> Result<()> {
        let running = self.take()?;
        self.0.broker.0.die();
        // What it cannot tell the broker any more is what a crash is about.
        let _ = running.abort().await;
        self.0.broker.disconnect().await?;
        turns().await;
        Ok(())
    }

    pub(crate) fn is_running(&self) -> bool {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn take(&self) -> Result<Running> {
        let running = self.0.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        running.ok_or_else(|| {
            let text = format!("the service {} does not run any more; start it anew", self.0.name);
            Error::new(Kind::Closed, text)
        })
    }
}

impl fmt::Debug for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Started").field("name", &self.0.name).field("running", &self.is_running()).finish()
    }
}
