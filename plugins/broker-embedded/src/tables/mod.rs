//! Everything that is SQL: the tables of `broker.db` and what is done with them.

pub(crate) mod message;
pub(crate) mod queue;
pub(crate) mod retention;
pub(crate) mod share;
pub(crate) mod start;
pub(crate) mod topic;

use micro_engine::Schema;

/// The file of the folder.
pub(crate) const FILE: &str = "broker.db";

/// A message's row number is its topic, partition and offset in one; `total` is the size of its partition up to and with
/// it, counted from the first message ever, so that the size of any stretch is a difference. `part` remembers the end of
/// a partition whose messages are all gone. `share` is how far a queue is in a partition, and which member owns it.
pub(crate) const SCHEMA: Schema = Schema {
    what: "broker",
    steps: &["
        CREATE TABLE topic (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, partitions INTEGER NOT NULL);
        CREATE TABLE message (place INTEGER PRIMARY KEY, time INTEGER NOT NULL, total INTEGER NOT NULL, record BLOB NOT NULL);
        CREATE TABLE part (
            topic INTEGER NOT NULL, number INTEGER NOT NULL, next INTEGER NOT NULL, total INTEGER NOT NULL, time INTEGER NOT NULL,
            PRIMARY KEY (topic, number)
        ) WITHOUT ROWID;
        CREATE TABLE queue (id INTEGER PRIMARY KEY, topic INTEGER NOT NULL, name TEXT NOT NULL, UNIQUE (topic, name));
        CREATE TABLE member (
            id INTEGER PRIMARY KEY AUTOINCREMENT, queue INTEGER NOT NULL, process TEXT NOT NULL, boot INTEGER NOT NULL,
            until INTEGER NOT NULL
        );
        CREATE INDEX member_queue ON member (queue);
        CREATE TABLE share (
            queue INTEGER NOT NULL, number INTEGER NOT NULL, owner INTEGER NOT NULL, epoch INTEGER NOT NULL, state BLOB NOT NULL,
            PRIMARY KEY (queue, number)
        ) WITHOUT ROWID;
    "],
};

/// Returns the wake-up channel of a topic's messages; the next number is that of its queues' members.
pub(crate) fn channel(topic: i64) -> u64 {
    topic.unsigned_abs() << 1
}
