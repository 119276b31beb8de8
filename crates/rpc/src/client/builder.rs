use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use micro_core::codec::Format;
use micro_core::context::Propagation;
use micro_core::middleware::{Layers, Middleware};
use micro_core::registry::{Cache, Registry};
use micro_core::selector::{Ejecting, P2c, Selector};
use micro_core::tls::ClientTls;
use micro_tls::Connector;

use super::nodes::Nodes;
use super::plan::Timeouts;
use super::policy::Policy;
use super::pool::{PoolOptions, Pools};
use super::targets::Targets;
use super::{Client, Inner};
use crate::resilience::{Backoff, Breaker, Budget, Concurrency, Hedge, Rate};
use crate::wire::keep_alive::KeepAlive;
use crate::wire::{ALPN, MESSAGE_LIMIT};

/// Makes a [`Client`]. Nothing is opened before the first call.
#[must_use]
pub struct ClientBuilder {
    cache: Option<Arc<Cache>>,
    selector: Arc<dyn Selector>,
    timeout: Duration,
    retries: u32,
    policy: Policy,
    name: Option<String>,
    propagation: Propagation,
    format: Option<Format>,
    max_message_size: usize,
    pool: PoolOptions,
    layers: Layers,
}

impl ClientBuilder {
    pub(super) fn new() -> Self {
        Self {
            cache: None,
            selector: Arc::new(Ejecting::new(P2c::default())),
            timeout: Duration::from_secs(5),
            retries: 1,
            policy: Policy::new(),
            name: None,
            propagation: Propagation::default(),
            format: None,
            max_message_size: MESSAGE_LIMIT,
            pool: PoolOptions::default(),
            layers: Layers::default(),
        }
    }

    /// Sets where services are looked up, through a watched cache of this client's. Without one, only calls with an
    /// address of their own go out.
    pub fn registry(mut self, registry: Arc<dyn Registry>) -> Self {
        self.cache = Some(Arc::new(Cache::new(registry)));
        self
    }

    /// Sets the cache of a registry that other clients use too, so that they watch once for all.
    pub fn cache(mut self, cache: Arc<Cache>) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Sets how a node is chosen: [`P2c`] by default, with [`Ejecting`] round it.
    pub fn selector(mut self, selector: Arc<dyn Selector>) -> Self {
        self.selector = selector;
        self
    }

    /// Sets how long a unary call may take with all its tries: 5 s by default. A stream has no deadline of itself.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how often a failed call is tried again, 1 by default, 0 for never. Repeated is only what surely did not run,
    /// or is marked idempotent.
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// Sets the pauses before further tries: from 50 ms to 2 s by default. The first one of a call that surely did not run
    /// goes to another node at once.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.policy.backoff = backoff;
        self
    }

    /// Sets how many further tries all calls together may have, hedged ones included; `None` for any number. A tenth of the
    /// calls by default.
    pub fn retry_budget(mut self, budget: impl Into<Option<Budget>>) -> Self {
        self.policy.budget = budget.into();
        self
    }

    /// Has idempotent calls ask a second node when the first is slow. Off by default.
    pub fn hedge(mut self, hedge: impl Into<Option<Hedge>>) -> Self {
        self.policy.hedge = hedge.into();
        self
    }

    /// Puts a circuit breaker before each endpoint of each node. Off by default, since nodes that fail are
    /// [left out](micro_core::selector::Ejecting) whatever the endpoint.
    pub fn breaker(mut self, breaker: impl Into<Option<Breaker>>) -> Self {
        self.policy.breaker = breaker.into();
        self
    }

    /// Limits how many calls and streams are under way at once. Off by default.
    pub fn concurrency(mut self, limit: impl Into<Option<Concurrency>>) -> Self {
        self.policy.concurrency = limit.into();
        self
    }

    /// Limits how many calls and streams begin in a second. Off by default.
    pub fn rate(mut self, rate: impl Into<Option<Rate>>) -> Self {
        self.policy.rate = rate.into();
        self
    }

    /// Sets the name of the calling service, sent as `micro-from-service`. What cannot stand in a header is left out.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets which metadata goes from a handler to the calls it makes.
    pub fn propagation(mut self, propagation: Propagation) -> Self {
        self.propagation = propagation;
        self
    }

    /// Sets the format of all calls. By default it is the first that request and answer both have.
    pub fn content_type(mut self, format: Format) -> Self {
        self.format = Some(format);
        self
    }

    /// Sets the largest message in bytes, either way: 4 MiB by default.
    pub fn max_message_size(mut self, bytes: usize) -> Self {
        self.max_message_size = bytes.min(u32::MAX as usize);
        self
    }

    /// Sets how many connections go to one node from one core (or runtime of the caller's): the first until it carries 100
    /// calls at once, further ones up to this number then. 4 by default.
    pub fn pool(mut self, connections: usize) -> Self {
        self.pool.connections = connections.max(1);
        self
    }

    /// Sets how long a connection may take to come about: 5 s by default.
    pub fn dial_timeout(mut self, timeout: Duration) -> Self {
        self.pool.dial_timeout = timeout;
        self
    }

    /// Sets after how long an unused connection is closed: 1 min by default.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.pool.idle = timeout;
        self
    }

    /// Sets after how much silence a node is asked whether it is still there while calls wait for it (20 s), and how
    /// long it may take to answer (5 s). After a call that timed out it is asked at once.
    pub fn keep_alive(mut self, interval: Duration, timeout: Duration) -> Self {
        self.pool.keep_alive = KeepAlive { interval, timeout };
        self
    }

    /// Speaks TLS with every node, in place of clear text.
    pub fn tls(mut self, tls: ClientTls) -> Self {
        self.pool.tls = Some(Arc::new(Connector::new(tls, ALPN)));
        self
    }

    /// Puts [middleware](micro_core::middleware) round every call with all its tries, inside what was added before. Of a
    /// stream it is round the opening.
    pub fn layer(mut self, middleware: impl Middleware) -> Self {
        self.layers.add(middleware);
        self
    }

    /// Makes the client.
    #[must_use]
    pub fn build(self) -> Client {
        Client(Arc::new(Inner {
            nodes: Nodes::new(self.cache),
            pools: Pools::new(self.pool),
            targets: Targets::default(),
            selector: self.selector,
            propagation: self.propagation,
            from_service: self.name.and_then(|name| HeaderValue::try_from(name).ok()),
            format: self.format,
            timeout: self.timeout,
            timeouts: Timeouts::new(self.timeout),
            retries: self.retries,
            policy: self.policy,
            max_message_size: self.max_message_size,
            layers: self.layers.build(),
        }))
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("cache", &self.cache)
            .field("selector", &self.selector)
            .field("timeout", &self.timeout)
            .field("retries", &self.retries)
            .finish_non_exhaustive()
    }
}
