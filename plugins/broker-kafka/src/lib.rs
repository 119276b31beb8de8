//! The Kafka broker: durable, partitioned topics on a cluster of servers.
//!
//! [`Kafka`] is the plugin. How it works:
//!
//! - **Out.** One producer for all topics, acknowledged by all in-sync copies (`acks=all`), each record once and in order
//!   (idempotent). A message becomes a record with its own headers and key; its receipt is filled in by the library's
//!   delivery callback. A topic that is missing is created first; what is published meanwhile waits in order.
//! - **In.** Each subscription has a consumer of its own, and a thread that keeps it a member of its group however long
//!   handlers take. Each partition has a queue that [`next`](micro_core::broker::Subscription::next) reads directly, as
//!   far as may be in flight: backpressure needs no pausing, and throws nothing away that was fetched.
//! - **How far a queue is** is one committed offset a partition, the watermark of what is settled. What is settled above
//!   it, and how often handlers failed with the rest, travels in the commit's metadata (4 KiB; what does not fit may come
//!   again), so that the next owner repeats neither.
//! - **A retry** waits in the member that has the partition. A pause of more than 30 seconds, or a window of 8,192
//!   messages above the watermark, sends the message round by `<topic>.<queue>.retry`, which all members of the queue
//!   read too. In strict order (`ordered`) it waits in its place.
//! - **A rebalance** is cooperative: a partition that goes to another member is fed no more, what is out is settled
//!   (within the lease), its offset committed, and then it is let go.
//! - **Without a queue** all partitions are read, without a group, from a position that is resolved before `subscribe`
//!   returns; new partitions are followed.
//! - **Transactions** ([`Transaction`](micro_core::broker::Transaction)) hold messages and offsets; every subscription
//!   reads committed messages only.
//!
//! # Metrics
//!
//! `micro_kafka_lag{topic, queue, partition}`: messages that are published and not settled, told by the member that holds
//! the partition. `micro_kafka_lost_total{topic}`: messages that retention removed before a queue read them.
//!
//! # Guarantees
//!
//! | | native | `dialect=gomicro` |
//! |---|---|---|
//! | a publish is confirmed | by all in-sync copies, once, in order | the same |
//! | headers, key | native, any bytes as values | in the envelope: text, each name once; no key |
//! | a queue begins | at the earliest | at the latest, as go-micro's plugin |
//! | unsettled messages come again | yes, with their failure count | yes; a Go member commits past what failed |
//! | order of a key across members | yes (`ordered`) | no: refused |
//! | rebalance | cooperative: only what moves pauses | all partitions pause (`range`) |
//!
//! What it declares off: deliveries are not counted by the servers, a message cannot be delayed or expire by itself,
//! duplicates are not found by an id, topics are not subscribed to by pattern. With `dialect=gomicro` there are no keys,
//! so no order across members.
//!
//! [`seek`](micro_core::broker::Subscription::seek) moves the partitions that the member holds; a queue of several members
//! moves when each does.

mod assignment;
mod broker;
mod checkpoint;
mod commits;
mod config;
mod context;
mod convert;
mod detour;
mod doubt;
mod envelope;
mod error;
mod lag;
mod member;
mod native;
mod old_subscription;
mod poller;
mod publisher;
mod pull;
mod seek;
mod sent;
mod settle;
mod share;
mod slots;
mod subscription;
mod topics;
mod transaction;
mod window;

pub use broker::Kafka;
pub use context::AccessToken;
