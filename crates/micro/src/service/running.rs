use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use micro_core::Result;
use micro_core::registry::Service as Record;
use micro_event::Subscribed;
use micro_rpc::Client;

use super::broker_use::BrokerUse;
use super::hooks::Hooks;
use super::leave::Leave;
use super::registration::Registration;
use crate::probe::{Probe, Ready};

/// A service that runs.
///
/// Stop it by [`stop`](Self::stop). Dropped, it is stopped behind the caller's back as long as the runtime lives.
pub struct Running {
    open: Option<Open>,
    ready: Arc<Ready>,
    client: Client,
}

/// What a start has opened so far, in the order of opening.
pub(super) struct Open {
    name: String,
    drain: Duration,
    /// The start is done, so that a stop has its hooks.
    pub(super) started: bool,
    pub(super) hooks: Hooks,
    pub(super) probe: Option<Probe>,
    pub(super) server: Option<micro_rpc::Running>,
    pub(super) leave: Option<Leave>,
    pub(super) broker: Option<BrokerUse>,
    pub(super) subscribed: Vec<Subscribed>,
    pub(super) record: Record,
    pub(super) registration: Option<Registration>,
}

impl Open {
    pub(super) fn new(name: String, drain: Duration, hooks: Hooks) -> Self {
        Self {
            name,
            drain,
            started: false,
            hooks,
            probe: None,
            server: None,
            leave: None,
            broker: None,
            subscribed: Vec::new(),
            record: Record::default(),
            registration: None,
        }
    }

    /// Closes in the order that loses nothing: the node is not found any more, those who found it before stop coming,
    /// deliveries stop coming, what is in flight finishes and may still publish, and only then the broker goes. Goes on
    /// after a failure, and returns the first.
    async fn close(&mut self) -> Result<()> {
        let was_registered = self.registration.as_ref().is_some_and(Registration::is_registered);
        if let Some(registration) = self.registration.take() {
            let done = registration.end().await;
            // The node goes by itself when its time to live ends, so that this fails nothing.
            if let Err(error) = done {
                tracing::warn!("{error}; the registration ends by itself");
            }
        }
        let began = Instant::now();
        for subscribed in &self.subscribed {
            tracing::info!("Unsubscribing from topic: {}", subscribed.topic());
        }
        let subscribed = join_all(self.subscribed.drain(..).map(|subscribed| subscribed.stop(self.drain)));
        let wait = self.leave.map_or(Duration::ZERO, |leave| leave.wait(was_registered, self.drain));
        let server = async {
            let cut = match self.server.take() {
                Some(server) => {
                    if !wait.is_zero() {
                        tracing::debug!("Calls of {} are taken for another {wait:?}", self.name);
                        tokio::time::sleep(wait).await;
                    }
                    server.stop(self.drain.saturating_sub(wait)).await
                }
                None => 0,
            };
            if cut > 0 {
                tracing::warn!(
                    "{cut} calls of {} were not done after {:?} and are cut off; --drain is the limit",
                    self.name,
                    self.drain
                );
            }
        };
        let (subscribed, ()) = tokio::join!(subscribed, server);
        let mut outcome = subscribed.into_iter().fold(Ok(()), Result::and);
        tracing::debug!("Handlers of {} done after {:?}", self.name, began.elapsed());
        if let Some(broker) = self.broker.take() {
            let done = broker.end().await;
            outcome = outcome.and(done);
        }
        self.probe = None;
        outcome
    }

    async fn stop(mut self) -> Result<()> {
        if !self.started {
            return self.close().await;
        }
        let before = self.hooks.before_stop.run_all().await;
        let closed = self.close().await;
        let after = self.hooks.after_stop.run_all().await;
        before.and(closed).and(after)
    }
}

impl Running {
    pub(super) fn new(open: Open, ready: Arc<Ready>, client: Client) -> Self {
        Self { open: Some(open), ready, client }
    }

    /// Says to everybody who asks that it is about to stop, while it goes on answering.
    fn leaving(&self) {
        self.ready.stopping();
        if let Some(server) = self.open.as_ref().and_then(|open| open.server.as_ref()) {
            server.leave();
        }
    }

    fn open(&self) -> &Open {
        self.open.as_ref().expect("it is open until it is stopped, which consumes it")
    }

    pub(super) fn open_mut(&mut self) -> &mut Open {
        self.open.as_mut().expect("it is open until it is stopped, which consumes it")
    }

    /// Returns the name that callers use.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.open().name
    }

    /// Returns the address listened on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.open().server.as_ref().expect("a running service listens").address()
    }

    /// Returns the record in the registry: version, endpoints, and this node with its id and advertised address.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.open().record
    }

    /// Returns where `/metrics`, `/live` and `/ready` are served, if they are.
    #[must_use]
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.open().probe.as_ref().map(Probe::address)
    }

    /// Tells whether callers can find it. `/ready` asks besides whether the broker answers.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.missing().is_none()
    }

    /// Returns the service's client.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Stops: `/ready` and the health say so, hooks, deregister, take calls for another [while](crate::ServiceBuilder::drain_wait)
    /// until the last caller knows, stop pulling and accepting, let handlers finish up to the `--drain` limit, release what
    /// they had not finished, disconnect the broker, hooks. `/live` is answered until the end.
    ///
    /// # Errors
    ///
    /// The first failure; the rest is done all the same.
    pub async fn stop(mut self) -> Result<()> {
        self.leaving();
        match self.open.take() {
            Some(open) => open.stop().await,
            None => Ok(()),
        }
    }

    /// Ends at once, as near to a crash as a living process can be: no hooks, handlers are cancelled where they are, and
    /// what they had not settled comes again.
    ///
    /// # Errors
    ///
    /// The first failure; the rest is done all the same.
    pub async fn abort(mut self) -> Result<()> {
        self.leaving();
        match self.open.take() {
            Some(mut open) => {
                open.drain = Duration::ZERO;
                open.close().await
            }
            None => Ok(()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.leaving();
        if let (Some(open), Ok(runtime)) = (self.open.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move {
                if let Err(error) = open.stop().await {
                    tracing::warn!(
                        "a service that was dropped did not stop cleanly: {error}; stop it by Running::stop"
                    );
                }
            });
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(open) = &self.open else { return f.write_str("Running(stopped)") };
        f.debug_struct("Running").field("record", &open.record).field("ready", &self.is_ready()).finish_non_exhaustive()
    }
}
