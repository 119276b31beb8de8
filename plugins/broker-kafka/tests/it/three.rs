//! The suite's fault cases on a cluster of three servers: one of them killed, then all.

use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use micro_broker_kafka::Kafka;
use micro_conformance::broker::{Fixture, Limits, Server, run_fault_cases};
use micro_core::broker::Broker;
use micro_faults::kafka::{Kafka as Cluster, Setup};
use micro_faults::{Ports, Proxy};

const NODES: usize = 3;

/// Three servers, each behind a proxy. Starting them takes longer than most cases run, so that all cases share them, one
/// case after the other; each finds all three up and connected.
#[derive(Debug, Default)]
struct ThreeServers(OnceLock<Arc<Three>>);

impl ThreeServers {
    fn three(&self) -> &Arc<Three> {
        self.0.get_or_init(|| Arc::new(Three::start_all()))
    }
}

impl Fixture for ThreeServers {
    fn name(&self) -> &'static str {
        "kafka-three"
    }

    fn client(&self) -> Arc<dyn Broker> {
        self.three().client()
    }

    fn nobody(&self) -> Option<Arc<dyn Broker>> {
        let ports = Ports::take(NODES).unwrap();
        let servers: Vec<_> = (0..NODES).map(|node| format!("127.0.0.1:{}", ports.port(node))).collect();
        Some(Arc::new(Kafka::at(&format!("kafka://shop:secret@{}", servers.join(","))).unwrap()))
    }

    fn server(&self) -> Option<Arc<dyn Server>> {
        let three = self.three();
        three.heal();
        three.start();
        Some(Arc::clone(three) as Arc<dyn Server>)
    }

    fn nodes(&self) -> usize {
        NODES
    }

    fn limits(&self) -> Limits {
        Limits::default().present(Duration::from_secs(45)).absent(Duration::from_millis(700))
    }
}

#[derive(Debug)]
struct Three {
    cluster: Cluster,
    proxies: Vec<Proxy>,
}

impl Three {
    fn start_all() -> Self {
        let proxies: Vec<_> = (0..NODES).map(|_| Proxy::start().unwrap()).collect();
        let setup = proxies.iter().fold(Setup::new().nodes(NODES), |setup, proxy| setup.advertise(proxy.address()));
        let cluster = Cluster::start(&setup).unwrap_or_else(|error| panic!("{error}"));
        for (node, proxy) in (1..).zip(&proxies) {
            proxy.forward(cluster.address(node));
        }
        Self { cluster, proxies }
    }

    /// What is confirmed is on two servers at least, so that one may die.
    fn made(&self, more: &str) -> Arc<dyn Broker> {
        let parameters = "replication=3&partitions=4&topic.min.insync.replicas=2";
        Arc::new(Kafka::at(&format!("kafka://{}?{parameters}{more}", self.cluster.bootstrap())).unwrap())
    }
}

impl Server for Three {
    fn client(&self) -> Arc<dyn Broker> {
        self.made("")
    }

    fn patient(&self, limit: Duration) -> Arc<dyn Broker> {
        self.made(&format!("&connect_timeout_ms={}", limit.as_millis()))
    }

    fn narrow(&self, bytes: usize) -> Arc<dyn Broker> {
        self.made(&format!("&buffer_kb={}", bytes >> 10))
    }

    fn kill(&self) {
        (1..=NODES).for_each(|node| self.cluster.kill(node));
    }

    /// All at once: one alone is not ready before it has found a second.
    fn start(&self) {
        thread::scope(|scope| {
            for node in (1..=NODES).filter(|node| !self.cluster.is_running(*node)) {
                scope.spawn(move || self.start_node(node));
            }
        });
    }

    fn kill_node(&self, node: usize) {
        self.cluster.kill(node);
    }

    fn start_node(&self, node: usize) {
        self.cluster.restart(node).unwrap_or_else(|error| panic!("{error}"));
    }

    fn cut(&self) {
        self.proxies.iter().for_each(Proxy::cut);
    }

    fn hold(&self) {
        self.proxies.iter().for_each(Proxy::hold);
    }

    fn heal(&self) {
        self.proxies.iter().for_each(Proxy::heal);
    }
}

// features: D8, D14
#[test]
fn three_servers_keep_what_a_fault_must_not_break() {
    run_fault_cases(ThreeServers::default());
}
