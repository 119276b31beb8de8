//! What the programs of this example have in common: their messages, and where Kafka is.

use micro::{Flag, Service, ServiceBuilder};

/// The message of proto/pubsub.proto.
pub mod pubsub {
    #![allow(missing_docs, reason = "generated")]
    micro::include_proto!("pubsub");
}

/// The first version of the order, proto/orders_v1.proto.
pub mod v1 {
    #![allow(missing_docs, reason = "generated")]
    micro::include_proto!("orders.v1");
}

/// The second version of the order, proto/orders_v2.proto.
pub mod v2 {
    #![allow(missing_docs, reason = "generated")]
    micro::include_proto!("orders.v2");
}

/// Starts to make a service on Kafka: on this machine, or where `--broker_address` says.
pub fn service(name: &str) -> ServiceBuilder {
    let run = Flag::new("run", "Added to the names of topics and queues, so that runs on one server do not meet");
    Service::builder(name).broker("kafka").flag(run)
}

/// Returns what a topic or queue is called: with `--run 7f3a`, `orders` is `orders.7f3a`.
#[must_use]
pub fn named(service: &Service, name: &str) -> String {
    match service.flag("run") {
        Some(run) => format!("{name}.{run}"),
        None => name.to_owned(),
    }
}
