//! Programs on one server, killed at random moments, and the server with them.

use std::sync::Arc;
use std::time::Duration;

use micro_broker_kafka::Kafka;
use micro_conformance::soak::{self, Soak};
use micro_faults::kafka::{Kafka as Cluster, Setup};

#[derive(Debug)]
struct OneServer(Cluster);

impl soak::Fixture for OneServer {
    fn name(&self) -> &'static str {
        "kafka"
    }

    fn address(&self) -> String {
        format!("kafka://{}?replication=1&partitions=8", self.0.bootstrap())
    }

    fn server(&self) -> Option<&dyn soak::Server> {
        Some(self)
    }

    /// The shortest that the server allows.
    fn lease(&self) -> Duration {
        Duration::from_secs(6)
    }

    fn trouble(&self) -> Duration {
        Duration::from_secs(5)
    }
}

impl soak::Server for OneServer {
    fn kill(&self) {
        self.0.kill(1);
    }

    fn start(&self) {
        self.0.restart(1).unwrap();
    }
}

// features: E1, E4
#[test]
fn what_is_confirmed_outlives_every_kill() {
    soak::run(&Soak::rounds(8).role("soak::role"), &OneServer(Cluster::start(&Setup::new()).unwrap()));
}

/// What a killed program does; nothing when nobody asks for it.
#[test]
fn role() {
    soak::role(|address| Arc::new(Kafka::at(address).unwrap()));
}
