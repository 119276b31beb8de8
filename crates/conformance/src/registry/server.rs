use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use micro_core::registry::Registry;
use micro_faults::{Etcd, Nats, Proxy, ZooKeeper};

use super::{Child, Fixture, Outage, Process};

/// A server that a test starts.
pub trait Server: fmt::Debug + Deref<Target = micro_faults::Server> + Send + Sync + Sized + 'static {
    /// Starts one, and waits until it serves.
    ///
    /// # Errors
    ///
    /// If it cannot be had.
    fn start() -> micro_faults::Result<Self>;

    /// Ends it and starts it again at its address, with nothing of what it knew.
    ///
    /// # Errors
    ///
    /// If it does not come up.
    fn restart_empty(&self) -> micro_faults::Result<()>;
}

impl Server for Etcd {
    fn start() -> micro_faults::Result<Self> {
        Self::start()
    }

    fn restart_empty(&self) -> micro_faults::Result<()> {
        self.restart_empty()
    }
}

impl Server for ZooKeeper {
    fn start() -> micro_faults::Result<Self> {
        Self::start()
    }

    fn restart_empty(&self) -> micro_faults::Result<()> {
        self.restart_empty()
    }
}

impl Server for Nats {
    fn start() -> micro_faults::Result<Self> {
        Self::start()
    }

    fn restart_empty(&self) -> micro_faults::Result<()> {
        self.restart()
    }
}

/// A plugin whose clients are those of one server, in domains of their own (`?domain=`). An outage is a server behind a proxy
/// that is cut; beside it the server itself goes on.
pub struct OneServer<S> {
    plugin: Plugin,
    server: S,
}

/// What the fixture must know of a plugin.
#[derive(Debug, Clone, Copy)]
pub struct Plugin {
    /// As it stands in the report: `registry-etcd`.
    pub name: &'static str,
    /// What its addresses begin with: `etcd`.
    pub scheme: &'static str,
    /// Makes a client of an address.
    pub client: fn(&str) -> Arc<dyn Registry>,
    /// The time to live that the suite waits out.
    pub ttl: Duration,
}

/// Where the other process of a [`OneServer`] finds its server.
const ADDRESS: &str = "MICRO_CONFORMANCE_ADDRESS";

impl<S: Server> OneServer<S> {
    /// Starts a server for the clients of a plugin. The test of the full name `conformance::other_process` calls
    /// [`stay_registered`](super::stay_registered) with a client of [`other_address`].
    ///
    /// # Panics
    ///
    /// If the server cannot be had.
    #[must_use]
    pub fn start(plugin: Plugin) -> Self {
        Self { plugin, server: S::start().expect("a server can be had") }
    }

    fn address(&self, domain: &str) -> String {
        format!("{}://{}?domain={domain}", self.plugin.scheme, self.server.address())
    }
}

/// Returns the address that the other process of a [`OneServer`] is to use.
///
/// # Panics
///
/// In a process that is nobody's child.
#[must_use]
pub fn other_address() -> String {
    std::env::var(ADDRESS).expect("the address is in the environment")
}

impl<S: Server> Fixture for OneServer<S> {
    fn name(&self) -> &'static str {
        self.plugin.name
    }

    fn client(&self) -> Arc<dyn Registry> {
        (self.plugin.client)(&self.address("one"))
    }

    fn apart(&self) -> Arc<dyn Registry> {
        (self.plugin.client)(&self.address("other"))
    }

    fn nobody(&self) -> Option<Arc<dyn Registry>> {
        Some((self.plugin.client)(&format!("{}://user:secret@127.0.0.1:1?timeout_ms=1000", self.plugin.scheme)))
    }

    fn process(&self) -> Option<Box<dyn Process>> {
        Some(Box::new(Child::new("conformance::other_process", [(ADDRESS, self.address("one"))])))
    }

    fn outage(&self) -> Option<Arc<dyn Outage>> {
        Some(Arc::new(CutOff::<S> { plugin: self.plugin, started: OnceLock::new() }))
    }

    fn ttl(&self) -> Duration {
        self.plugin.ttl
    }
}

impl<S: fmt::Debug> fmt::Debug for OneServer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OneServer").field("server", &self.server).finish_non_exhaustive()
    }
}

/// Started when a client is made.
#[derive(Debug)]
struct CutOff<S> {
    plugin: Plugin,
    started: OnceLock<(S, Proxy)>,
}

impl<S: Server> CutOff<S> {
    fn started(&self) -> &(S, Proxy) {
        self.started.get_or_init(|| {
            let server = S::start().expect("a server can be had");
            let proxy = Proxy::to(server.address()).expect("there is a port for a proxy");
            (server, proxy)
        })
    }

    fn client_at(&self, address: &str) -> Arc<dyn Registry> {
        (self.plugin.client)(&format!("{}://{address}", self.plugin.scheme))
    }
}

impl<S: Server> Outage for CutOff<S> {
    fn client(&self) -> Arc<dyn Registry> {
        self.client_at(&self.started().1.address())
    }

    fn elsewhere(&self) -> Arc<dyn Registry> {
        self.client_at(&self.started().0.address())
    }

    fn cut(&self) {
        self.started().1.cut();
    }

    fn heal(&self) {
        self.started().1.heal();
    }

    fn restart(&self) {
        let (server, proxy) = self.started();
        server.restart_empty().expect("it starts again");
        proxy.heal();
    }
}
