//! The contract, case by case, on the shared server.

use std::sync::Arc;
use std::time::Duration;

use micro_broker_kafka::Kafka;
use micro_conformance::broker::{Counted, Fixture, Guarded, Limits, Server};
use micro_core::broker::Broker;
use micro_faults::kafka::{Kafka as Cluster, Setup};
use micro_faults::{Ports, Proxy};

use crate::world::address;

#[derive(Debug)]
struct OneServer;

impl Fixture for OneServer {
    fn name(&self) -> &'static str {
        "kafka"
    }

    fn client(&self) -> Arc<dyn Broker> {
        Arc::new(Kafka::at(&address("&partitions=16")).unwrap())
    }

    fn nobody(&self) -> Option<Arc<dyn Broker>> {
        let port = Ports::take(1).unwrap().port(0);
        let address = format!("kafka://shop:secret@127.0.0.1:{port}");
        Some(Arc::new(Kafka::at(&address).unwrap()))
    }

    fn counted(&self) -> Option<Arc<dyn Counted>> {
        Some(Arc::new(Alone { client: self.client() }))
    }

    fn strict(&self) -> Option<Arc<dyn Broker>> {
        Some(Arc::new(Kafka::at(&address("&create=false")).unwrap()))
    }

    fn guarded(&self) -> Option<Arc<dyn Guarded>> {
        let server = micro_faults::kafka::shared().unwrap_or_else(|error| panic!("{error}")).sasl_plaintext();
        Some(Arc::new(Accounts { proxy: Proxy::to(server.clone()).unwrap(), server }))
    }

    fn server(&self) -> Option<Arc<dyn Server>> {
        let proxy = Proxy::start().unwrap();
        let cluster = Cluster::start(&Setup::new().advertise(proxy.address())).unwrap();
        proxy.forward(cluster.address(1));
        Some(Arc::new(Own { cluster, proxy }))
    }

    /// A member that dies is noticed by its session; joining takes seconds on a busy machine.
    fn limits(&self) -> Limits {
        Limits::default().present(Duration::from_secs(45)).absent(Duration::from_millis(700))
    }
}

/// A client alone in its process, as the test runner runs each test.
#[derive(Debug)]
struct Alone {
    client: Arc<dyn Broker>,
}

impl Counted for Alone {
    fn client(&self) -> Arc<dyn Broker> {
        Arc::clone(&self.client)
    }

    /// Each client of the library has one thread of this name; the one that publishes is the first.
    fn consumers(&self) -> usize {
        let threads = std::fs::read_dir("/proc/self/task").unwrap().filter_map(Result::ok);
        // A thread may end while it is looked at.
        let names = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("comm")).ok());
        let clients = names.filter(|name| name.trim_end() == "rdk:main").count();
        clients.checked_sub(1).expect("the publisher has a thread named rdk:main")
    }
}

/// The listener of the shared server that asks for an account; strangers come through a proxy, which counts them.
#[derive(Debug)]
struct Accounts {
    server: String,
    proxy: Proxy,
}

impl Guarded for Accounts {
    fn friend(&self) -> Arc<dyn Broker> {
        let address = format!("kafka://alice:alice-secret@{}?replication=1&sasl=SCRAM-SHA-256", self.server);
        Arc::new(Kafka::at(&address).unwrap())
    }

    fn passwords(&self) -> Vec<String> {
        vec!["alice-secret".to_owned(), "wrong-secret".to_owned()]
    }

    fn stranger(&self) -> Arc<dyn Broker> {
        let proxy = self.proxy.address();
        let address = format!("kafka://alice:wrong-secret@{proxy}?sasl=SCRAM-SHA-256&connect_timeout_ms=10000");
        Arc::new(Kafka::at(&address).unwrap())
    }

    fn dialled(&self) -> u64 {
        self.proxy.accepted()
    }
}

/// A server of one case, behind a proxy.
#[derive(Debug)]
struct Own {
    cluster: Cluster,
    proxy: Proxy,
}

impl Server for Own {
    fn client(&self) -> Arc<dyn Broker> {
        Arc::new(Kafka::at(&format!("kafka://{}?replication=1&partitions=4", self.proxy.address())).unwrap())
    }

    fn patient(&self, limit: Duration) -> Arc<dyn Broker> {
        let (proxy, limit) = (self.proxy.address(), limit.as_millis());
        Arc::new(Kafka::at(&format!("kafka://{proxy}?replication=1&connect_timeout_ms={limit}")).unwrap())
    }

    fn narrow(&self, bytes: usize) -> Arc<dyn Broker> {
        let (proxy, kilobytes) = (self.proxy.address(), bytes >> 10);
        Arc::new(Kafka::at(&format!("kafka://{proxy}?replication=1&partitions=4&buffer_kb={kilobytes}")).unwrap())
    }

    fn kill(&self) {
        self.cluster.kill(1);
    }

    fn start(&self) {
        self.cluster.restart(1).unwrap();
    }

    fn cut(&self) {
        self.proxy.cut();
    }

    fn hold(&self) {
        self.proxy.hold();
    }

    fn heal(&self) {
        self.proxy.heal();
    }
}

micro_conformance::broker_cases!(OneServer);
