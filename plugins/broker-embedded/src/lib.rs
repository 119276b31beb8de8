//! The embedded broker: durable topics and queues, no server.
