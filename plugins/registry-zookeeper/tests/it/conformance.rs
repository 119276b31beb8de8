//! The contract, case by case: clients of one server, in a domain of the case's own.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use micro_conformance::registry::{Child, Fixture, Outage, Process, stay_registered};
use micro_core::registry::Registry;
use micro_faults::{Proxy, ZooKeeper as Server};

use crate::world::registry;

/// Where the other process finds the records.
const ADDRESS: &str = "MICRO_TEST_CONFORMANCE_ZOOKEEPER";

#[derive(Debug)]
struct OneServer {
    server: Server,
}

impl OneServer {
    fn new() -> Self {
        Self { server: Server::start().unwrap() }
    }

    fn address(&self, domain: &str) -> String {
        format!("zookeeper://{}?domain={domain}", self.server.address())
    }
}

impl Fixture for OneServer {
    fn name(&self) -> &'static str {
        "registry-zookeeper"
    }

    fn client(&self) -> Arc<dyn Registry> {
        Arc::new(registry(&self.address("one")))
    }

    fn apart(&self) -> Arc<dyn Registry> {
        Arc::new(registry(&self.address("other")))
    }

    fn nobody(&self) -> Option<Arc<dyn Registry>> {
        Some(Arc::new(registry("zookeeper://user:secret@127.0.0.1:1?timeout_ms=1000")))
    }

    fn process(&self) -> Option<Box<dyn Process>> {
        Some(Box::new(Child::new("conformance::other_process", [(ADDRESS, self.address("one"))])))
    }

    fn outage(&self) -> Option<Arc<dyn Outage>> {
        Some(Arc::new(CutOff::default()))
    }

    /// A session of 2 s of a server with ticks of 500 ms.
    fn ttl(&self) -> Duration {
        Duration::from_secs(2)
    }
}

/// A server behind a proxy that is cut; beside it, the server itself goes on. Started when a client is made.
#[derive(Debug, Default)]
struct CutOff(OnceLock<(Server, Proxy)>);

impl CutOff {
    fn started(&self) -> &(Server, Proxy) {
        self.0.get_or_init(|| {
            let server = Server::start().unwrap();
            let proxy = Proxy::to(server.address()).unwrap();
            (server, proxy)
        })
    }
}

impl Outage for CutOff {
    fn client(&self) -> Arc<dyn Registry> {
        Arc::new(registry(&format!("zookeeper://{}", self.started().1.address())))
    }

    fn elsewhere(&self) -> Arc<dyn Registry> {
        Arc::new(registry(&format!("zookeeper://{}", self.started().0.address())))
    }

    fn cut(&self) {
        self.started().1.cut();
    }

    fn heal(&self) {
        self.started().1.heal();
    }

    fn restart(&self) {
        let (server, proxy) = self.started();
        server.restart_empty().unwrap();
        proxy.heal();
    }
}

/// The other process; nothing in the first one.
#[test]
fn other_process() {
    stay_registered(|| Box::new(registry(&std::env::var(ADDRESS).unwrap())));
}

micro_conformance::registry_cases!(OneServer::new());
