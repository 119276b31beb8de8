//! The brokers.

use std::sync::Arc;

use micro_core::Result;
use micro_core::broker::{Broker, BrokerOptions, memory::Memory};

use super::unknown::Known;
use crate::settings::Choice;

const KNOWN: Known = Known {
    kind: "broker",
    here: if cfg!(feature = "broker-embedded") { &["embedded", "memory"] } else { &["memory"] },
    by_feature: if cfg!(feature = "broker-embedded") { &[] } else { &[("embedded", "broker-embedded")] },
    go_micro: &[
        "http",
        "kafka",
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
        other => Err(KNOWN.unknown(other)),
    }
}
