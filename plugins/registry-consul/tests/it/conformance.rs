//! The contract, case by case: clients of one agent, and the domain as what keeps them apart.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use micro_conformance::registry::{Child, Fixture, Outage, Process, stay_registered};
use micro_core::registry::Registry;
use micro_faults::{Consul as Server, Ports, Proxy};

use super::registry;

/// Where the other process finds the agent.
const ADDRESS: &str = "MICRO_TEST_CONFORMANCE_CONSUL";

/// An agent for one case, started when it is needed.
#[derive(Debug, Default)]
struct Agent {
    server: OnceLock<Server>,
    nobody: OnceLock<Ports>,
}

impl Agent {
    fn address(&self) -> String {
        self.server.get_or_init(|| Server::start().unwrap()).address()
    }
}

impl Fixture for Agent {
    fn name(&self) -> &'static str {
        "registry-consul"
    }

    fn client(&self) -> Arc<dyn Registry> {
        registry(&format!("consul://{}", self.address()))
    }

    fn apart(&self) -> Arc<dyn Registry> {
        registry(&format!("consul://{}?domain=apart", self.address()))
    }

    fn nobody(&self) -> Option<Arc<dyn Registry>> {
        let port = self.nobody.get_or_init(|| Ports::take(1).unwrap()).port(0);
        Some(registry(&format!("consul://:secret@127.0.0.1:{port}")))
    }

    fn process(&self) -> Option<Box<dyn Process>> {
        Some(Box::new(Started(OnceLock::new(), self.server.get().map(Server::address))))
    }

    fn outage(&self) -> Option<Arc<dyn Outage>> {
        Some(Arc::new(CutOff::default()))
    }

    /// An agent on a busy machine tells its catalog a moment late that a check failed.
    fn ttl(&self) -> Duration {
        Duration::from_secs(2)
    }
}

/// The other process; made to be looked at too, where there is no agent yet.
#[derive(Debug)]
struct Started(OnceLock<Child>, Option<String>);

impl Process for Started {
    fn start(&mut self, service: &micro_core::registry::Service, ttl: Duration) {
        let address = format!("consul://{}", self.1.as_ref().expect("the case has a client, and so an agent"));
        let mut child = Child::new("conformance::other_process", [(ADDRESS, address)]);
        child.start(service, ttl);
        self.0.set(child).expect("it is started once");
    }

    fn kill(&mut self) {
        self.0.get_mut().expect("it was started").kill();
    }
}

/// An agent of a case's own, behind a proxy that the clients use; the other side asks it directly.
#[derive(Debug, Default)]
struct CutOff(OnceLock<(Mutex<Server>, Proxy)>);

impl CutOff {
    fn both(&self) -> &(Mutex<Server>, Proxy) {
        self.0.get_or_init(|| {
            let server = Server::start().unwrap();
            let proxy = Proxy::to(server.address()).unwrap();
            (Mutex::new(server), proxy)
        })
    }
}

impl Outage for CutOff {
    fn client(&self) -> Arc<dyn Registry> {
        registry(&format!("consul://{}", self.both().1.address()))
    }

    fn elsewhere(&self) -> Arc<dyn Registry> {
        registry(&format!("consul://{}", self.both().0.lock().unwrap().address()))
    }

    fn cut(&self) {
        self.both().1.cut();
    }

    fn heal(&self) {
        self.both().1.heal();
    }

    fn restart(&self) {
        self.both().0.lock().unwrap().restart().unwrap();
        self.both().1.heal();
    }
}

/// The other process; nothing in the first one.
#[test]
fn other_process() {
    stay_registered(|| {
        let options = micro_core::registry::RegistryOptions::new();
        let address = micro_core::address::Address::parse(&std::env::var(ADDRESS).unwrap()).unwrap();
        Box::new(micro_registry_consul::Consul::with_options(&options.address(address)).unwrap())
    });
}

micro_conformance::registry_cases!(Agent::default());
