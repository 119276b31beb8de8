//! The brokers.

use std::sync::Arc;

use micro_core::Result;
use micro_core::broker::{Broker, BrokerOptions, memory::Memory};

use super::unknown::Known;
use crate::settings::Choice;

const KNOWN: Known = Known {
    kind: "broker",
    here: match (cfg!(feature = "broker-embedded"), cfg!(feature = "broker-kafka")) {
        (true, true) => &["embedded", "kafka", "memory"],
        (true, false) => &["embedded", "memory"],
        (false, true) => &["kafka", "memory"],
        (false, false) => &["memory"],
    },
    by_feature: match (cfg!(feature = "broker-embedded"), cfg!(feature = "broker-kafka")) {
        (true, true) => &[],
        (true, false) => &[("kafka", "broker-kafka")],
        (false, true) => &[("embedded", "broker-embedded")],
        (false, false) => &[("embedded", "broker-embedded"), ("kafka", "broker-kafka")],
    },
    go_micro: &[
        "http",
        "nats",
        "rabbitmq",
        "redis",
        "nsq",
        "mqtt",
        "googlepubsub",
        "sqs",
        "stan",
        "stomp",
        "grpc",
        "proxy",
        "service",
    ],
};

/// Makes the broker of a choice; does no I/O. `client_id` is the name that the program shows to a server.
pub(crate) fn broker(choice: &Choice, home: Option<&str>, client_id: &str) -> Result<Arc<dyn Broker>> {
    let options = BrokerOptions::new().client_id(client_id);
    let _ = home;
    match choice.name.as_str() {
        // One world a process, so that the services of a process hear each other.
        "memory" => {
            let broker = Memory::shared("default");
            broker.init(options.address(choice.address.clone()))?;
            Ok(Arc::new(broker))
        }
        #[cfg(feature = "broker-embedded")]
        "embedded" => {
            let address = super::in_home(&choice.address, home);
            Ok(Arc::new(micro_broker_embedded::Embedded::with_options(options.address(address))?))
        }
        // `kafkas` is the scheme of an address with TLS.
        #[cfg(feature = "broker-kafka")]
        "kafka" | "kafkas" => {
            Ok(Arc::new(micro_broker_kafka::Kafka::with_options(options.address(choice.address.clone()))?))
        }
        other => Err(KNOWN.unknown(other)),
    }
}
