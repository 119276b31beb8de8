//! The contract, case by case, on the shared server.

use std::sync::Arc;
use std::time::Duration;

use micro_broker_kafka::Kafka;
use micro_conformance::broker::{Fixture, Limits, Server};
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
