//! The settings of the plugin, for the peer.

use rdkafka::ClientConfig;

/// What both sides set.
const CLIENT: &[(&str, &str)] = &[
    ("allow.auto.create.topics", "false"),
    ("socket.keepalive.enable", "true"),
    ("socket.nagle.disable", "true"),
    ("socket.timeout.ms", "15000"),
];

const PRODUCER: &[(&str, &str)] = &[
    ("acks", "all"),
    ("enable.idempotence", "true"),
    ("compression.type", "none"),
    ("linger.ms", "5"),
    ("message.timeout.ms", "30000"),
    ("message.max.bytes", "1000000"),
    ("partitioner", "murmur2_random"),
    ("queue.buffering.max.messages", "1000000"),
    ("queue.buffering.max.kbytes", "1048576"),
];

/// Without the statistics that the plugin makes its lag gauge of.
const CONSUMER: &[(&str, &str)] = &[
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "earliest"),
    ("isolation.level", "read_committed"),
    ("partition.assignment.strategy", "cooperative-sticky"),
    ("session.timeout.ms", "30000"),
    ("heartbeat.interval.ms", "1000"),
    ("queued.max.messages.kbytes", "32768"),
    ("queued.min.messages", "50000"),
    ("fetch.queue.backoff.ms", "20"),
];

pub(super) fn producer(servers: &str) -> ClientConfig {
    config(servers, PRODUCER)
}

pub(super) fn consumer(servers: &str, group: &str) -> ClientConfig {
    let mut config = config(servers, CONSUMER);
    config.set("group.id", group);
    config
}

fn config(servers: &str, more: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers);
    for (name, value) in CLIENT.iter().chain(more) {
        config.set(*name, *value);
    }
    config
}
