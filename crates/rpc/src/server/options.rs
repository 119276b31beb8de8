use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use micro_core::Result;
use micro_core::middleware::{Layers, Middleware};
use micro_core::tls::ServerTls;
use micro_tls::Acceptor;
use tokio::runtime::Handle;

use crate::wire::keep_alive::KeepAlive;
use crate::wire::{ALPN, DATA_FRAME, MESSAGE_LIMIT};

/// How a [`Server`](crate::Server) listens, and its limits.
#[derive(Clone)]
#[must_use]
pub struct ServerOptions {
    name: Arc<str>,
    address: String,
    runtime: Option<Handle>,
    max_message_size: usize,
    max_concurrent_streams: u32,
    max_in_flight: Option<usize>,
    endpoint_max_in_flight: Option<usize>,
    endpoint_limits: BTreeMap<String, usize>,
    shed: Option<Duration>,
    layers: Layers,
    refuse_late: bool,
    max_connections: usize,
    keep_alive: KeepAlive,
    tls: Option<ServerTls>,
}

impl ServerOptions {
    /// Creates the options of a service: any free port on all addresses, 4 MiB a message, 1,024 calls at once on a
    /// connection.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            address: ":0".to_owned(),
            runtime: None,
            max_message_size: MESSAGE_LIMIT,
            max_concurrent_streams: 1024,
            max_in_flight: None,
            endpoint_max_in_flight: None,
            endpoint_limits: BTreeMap::new(),
            shed: None,
            layers: Layers::default(),
            refuse_late: true,
            max_connections: 16_384,
            keep_alive: KeepAlive { interval: Duration::from_secs(30), timeout: Duration::from_secs(10) },
            tls: None,
        }
    }

    /// Sets where to listen: `host:port`. Without a host it is every address, IPv6 and IPv4; port 0 takes a free one.
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.address = address.into();
        self
    }

    /// Runs handlers on a runtime of your own, not on the cores. Each call then crosses threads twice, which costs more
    /// than the rest of a small one.
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Sets the largest message in bytes, either way.
    pub fn max_message_size(mut self, bytes: usize) -> Self {
        self.max_message_size = bytes.min(u32::MAX as usize);
        self
    }

    /// Sets how many calls one connection may have open; further ones wait at the caller.
    pub fn max_concurrent_streams(mut self, count: u32) -> Self {
        self.max_concurrent_streams = count.max(1);
        self
    }

    /// Sets how many calls run at once in the whole server. There is no such limit by default.
    ///
    /// Further calls are not begun. Their answer is gRPC's 8 (`RESOURCE_EXHAUSTED`) and go-micro's 429, with `micro-not-run`
    /// beside it: our client repeats them at another node. Health and reflection are always answered.
    pub fn max_in_flight(mut self, count: usize) -> Self {
        self.max_in_flight = Some(count);
        self
    }

    /// Sets how many calls of one endpoint run at once, for each that has no [limit of its
    /// own](crate::Endpoint::max_in_flight) and is not internal. There is no such limit by default.
    pub fn endpoint_max_in_flight(mut self, count: usize) -> Self {
        self.endpoint_max_in_flight = Some(count);
        self
    }

    /// Sets how many calls of the endpoint of this name run at once, whoever made it: a generated server, a handler method or
    /// a library. It goes before the endpoint's [own limit](crate::Endpoint::max_in_flight) and the
    /// [usual one](Self::endpoint_max_in_flight). The name of no endpoint is an error at the start.
    ///
    /// # Examples
    ///
    /// ```
    /// use micro_rpc::ServerOptions;
    ///
    /// let options = ServerOptions::new("greeter").endpoint_max_in_flight(100).endpoint_limit("Greeter.Greet", 10);
    /// # let _ = options;
    /// ```
    pub fn endpoint_limit(mut self, endpoint: impl Into<String>, count: usize) -> Self {
        self.endpoint_limits.insert(endpoint.into(), count);
        self
    }

    /// Sheds load: while calls wait longer than this for their turn, all of them for 100 ms, those that do are not begun and
    /// are answered as those over [`max_in_flight`](Self::max_in_flight) are. 50 ms suits callers that wait for an answer.
    ///
    /// Off by default, because more work at once than can be done is no mistake where nobody is in a hurry. A wait is
    /// time in the run queue of a core, so it tells of handlers that compute; those that wait for something else are
    /// limited by their number.
    pub fn shed(mut self, wait: Duration) -> Self {
        self.shed = Some(wait);
        self
    }

    /// Sets whether a call is refused that has less time left than the fastest of its endpoint took in the last 10 s: it
    /// is answered by 4 (`DEADLINE_EXCEEDED`) and 408 at once. Default yes.
    ///
    /// At least 16 calls must have gone well before that is concluded, and every half second one is begun all the same.
    /// Streams are not judged. A call whose time is over already is never begun.
    pub fn refuse_late(mut self, on: bool) -> Self {
        self.refuse_late = on;
        self
    }

    /// Puts [middleware](micro_core::middleware) round all handlers but those of health and reflection, inside what was
    /// added before. A stream is one run, from its opening to its end. A panic in it counts as one of the handler.
    pub fn layer(mut self, middleware: impl Middleware) -> Self {
        self.layers.add(middleware);
        self
    }

    /// Sets how many connections are held; further ones are closed at once. 16,384 by default.
    pub fn max_connections(mut self, count: usize) -> Self {
        self.max_connections = count.max(1);
        self
    }

    /// Sets how often a client is asked whether it is still there (30 s), and how long it may take to answer (10 s).
    pub fn keep_alive(mut self, interval: Duration, timeout: Duration) -> Self {
        self.keep_alive = KeepAlive { interval, timeout };
        self
    }

    /// Speaks TLS, in place of clear text.
    pub fn tls(mut self, tls: ServerTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Returns the service's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn shared_name(&self) -> &Arc<str> {
        &self.name
    }

    pub(super) fn listen_address(&self) -> &str {
        &self.address
    }

    pub(super) fn handle(&self) -> Option<&Handle> {
        self.runtime.as_ref()
    }

    pub(super) fn message_limit(&self) -> usize {
        self.max_message_size
    }

    pub(super) fn in_flight_limit(&self) -> Option<usize> {
        self.max_in_flight
    }

    /// Returns the limit of each endpoint that has none of its own.
    pub(super) fn usual_endpoint_limit(&self) -> Option<usize> {
        self.endpoint_max_in_flight
    }

    /// Returns the limits of endpoints by their names.
    pub(super) fn endpoint_limits(&self) -> &BTreeMap<String, usize> {
        &self.endpoint_limits
    }

    pub(super) fn shed_after(&self) -> Option<Duration> {
        self.shed
    }

    pub(super) fn refuses_late(&self) -> bool {
        self.refuse_late
    }

    pub(super) fn layers(&self) -> &Layers {
        &self.layers
    }

    pub(super) fn connection_limit(&self) -> usize {
        self.max_connections
    }

    pub(super) fn keep_alive_times(&self) -> KeepAlive {
        self.keep_alive
    }

    /// Reads the certificates.
    pub(super) fn acceptor(&self) -> Result<Option<Acceptor>> {
        let made = self.tls.clone().map(|tls| Acceptor::new(tls, ALPN)).transpose();
        made.map_err(|error| error.operation("server.start"))
    }

    pub(super) fn h2(&self) -> h2::server::Builder {
        let mut builder = h2::server::Builder::new();
        builder
            .initial_window_size(crate::wire::STREAM_WINDOW)
            .initial_connection_window_size(crate::wire::CONNECTION_WINDOW)
            .max_frame_size(DATA_FRAME)
            .max_header_list_size(crate::wire::HEADER_LIST)
            .max_concurrent_streams(self.max_concurrent_streams)
            .data_frame_budget(crate::wire::SMALL_FRAMES);
        builder
    }
}

impl fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerOptions")
            .field("name", &self.name)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
