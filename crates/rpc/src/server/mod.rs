//! The serving side: endpoints, and what answers for them.

mod connection;
mod dispatch;
mod endpoint;
mod endpoints;
mod exchange;
mod fastest;
mod handler;
mod health;
mod layered;
mod listener;
mod occupied;
mod options;
mod reflection;
mod routes;
mod running;
mod stats;
mod stream_exchange;
mod turn;
mod waiting;

use std::sync::Arc;

use micro_core::registry;
use micro_core::{Kind, Result};
use micro_tls::Acceptor;
use tokio::sync::watch;

pub use endpoint::Endpoint;
pub use endpoints::Endpoints;
pub use options::ServerOptions;
pub use running::Running;
pub use stats::Stats;

use health::Health;
use reflection::Reflection;
use routes::{Route, Routes};
use waiting::Waiting;

use crate::cores;
use crate::measure::Refused;
use crate::wire::failure::Failure;

/// Answers calls: a set of endpoints, and the address where they are offered.
///
/// gRPC over HTTP/2, in clear text with prior knowledge or with [TLS](ServerOptions::tls), so that go-micro programs and plain gRPC clients call it. Health
/// (`grpc.health.v1`) and reflection (`grpc.reflection.v1` and `v1alpha`) are built in.
///
/// Handlers run on the cores of [`spawn`](crate::spawn), on the one that has the caller's connection. One that blocks or
/// computes for long belongs in [`tokio::task::spawn_blocking`], or the server on a
/// [runtime](ServerOptions::runtime) of its own.
///
/// # Examples
///
/// ```
/// use bytes::Bytes;
/// use micro_rpc::{Client, Endpoint, Server, ServerOptions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> micro_core::Result<()> {
/// let mut server = Server::new(ServerOptions::new("echo").address("127.0.0.1:0"));
/// server.handle(Endpoint::unary("Echo.Call", |_context, body: Bytes| async move { Ok(body) }));
/// let running = server.start().await?;
///
/// let address = running.address().to_string();
/// let hello = Bytes::from_static(b"hello");
/// let client = Client::builder().build();
/// let answer: Bytes = client.call("echo", "Echo.Call", &hello).address(address).await?;
/// assert_eq!(answer, hello);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    options: ServerOptions,
    endpoints: Vec<Endpoint>,
    descriptors: Vec<&'static [u8]>,
    stats: Stats,
}

/// Where a server is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(crate) enum Phase {
    Serving,
    /// Nothing new begins.
    Stopping,
    /// What still runs is cut off.
    Cut,
}

/// What connections and calls of a server share.
pub(crate) struct Shared {
    pub(crate) options: ServerOptions,
    pub(crate) routes: Routes,
    pub(crate) stats: Stats,
    pub(crate) health: Health,
    pub(crate) tls: Option<Acceptor>,
    /// How long calls wait, for each core, if load is shed.
    waiting: Option<Box<[Arc<Waiting>]>>,
}

impl Shared {
    /// Returns what watches the waits of this core.
    fn waiting(&self) -> Option<Arc<Waiting>> {
        let all = self.waiting.as_ref()?;
        all.get(cores::current().unwrap_or(0)).or(all.first()).cloned()
    }

    /// Counts a call that is not begun, and gives its answer on.
    fn refuse(&self, route: &Route, why: Refused, answer: Failure) -> Failure {
        self.stats.refuse();
        route.measure.refuse(why);
        answer
    }
}

impl Server {
    /// Creates a server that offers nothing yet. Nothing is opened.
    #[must_use]
    pub fn new(options: ServerOptions) -> Self {
        Self { options, endpoints: Vec::new(), descriptors: Vec::new(), stats: Stats::default() }
    }

    /// Adds endpoints: one, several, or a generated `GreeterServer`.
    pub fn handle(&mut self, endpoints: impl Endpoints) {
        self.descriptors.extend(endpoints.descriptor());
        self.endpoints.extend(endpoints.endpoints());
    }

    /// Returns the counters, also those of a server that does not run yet.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats.clone()
    }

    /// Returns the endpoints as the registry describes them, by name; internal ones are left out.
    #[must_use]
    pub fn records(&self) -> Vec<registry::Endpoint> {
        let mut records: Vec<_> =
            self.endpoints.iter().filter(|endpoint| !endpoint.is_internal()).map(Endpoint::record).collect();
        records.sort_by(|a, b| a.name.cmp(&b.name));
        records
    }

    /// Opens the address and answers calls, on the cores, until the [`Running`] is stopped or dropped.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`] for an endpoint whose name is not of the form `Service.Method` or stands twice, for a limit of an
    /// endpoint that there is none of, for an address that is none, or a certificate that cannot be used;
    /// [`Kind::Unavailable`] naming an address that cannot be opened.
    pub async fn start(self) -> Result<Running> {
        let tls = self.options.acceptor()?;
        let listener = listener::open(self.options.listen_address()).await?;
        let address = listener.local_addr().map_err(|error| {
            micro_core::Error::new(Kind::Unavailable, "the address of the server cannot be read").source(error)
        })?;
        let mut routes = Routes::new(self.endpoints, &self.options)?;
        let health = Health::new(routes.services().chain([self.options.name().to_owned()]));
        let reflection = Reflection::new(&self.descriptors)?;
        routes.add_built_in(health.endpoints());
        routes.add_built_in(reflection.endpoints());
        let waiting = self.options.shed_after().map(|target| {
            // Handlers that run elsewhere wait in one queue.
            let queues = if self.options.handle().is_some() { 1 } else { cores::count() };
            (0..queues).map(|_| Arc::new(Waiting::new(target))).collect()
        });
        let shared = Arc::new(Shared { options: self.options, routes, stats: self.stats, health, tls, waiting });
        let phase = watch::Sender::new(Phase::Serving);
        listener::accept(listener, shared.clone(), phase.subscribe());
        Ok(Running::new(address, shared, phase))
    }
}
