//! The contract, case by case, on the shared server.

use std::sync::Arc;
use std::time::Duration;

use micro_broker_kafka::Kafka;
use micro_conformance::broker::{Fixture, Limits};
use micro_core::broker::Broker;

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

    /// A member that dies is noticed by its session; joining takes seconds on a busy machine.
    fn limits(&self) -> Limits {
        Limits::default().present(Duration::from_secs(45)).absent(Duration::from_millis(700))
    }
}

micro_conformance::broker_cases!(OneServer);
