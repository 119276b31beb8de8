//! The headers that the framework itself writes. Their names are static: setting one copies nothing.

/// What the body is written in; see [`Format`](micro_core::codec::Format).
pub const CONTENT_TYPE: &str = "Content-Type";
/// The id of the message, a UUID (version 7) as text; kept through retries, dead letter and requeue.
pub const ID: &str = "Micro-Id";
/// The topic, for dialects whose receivers ask for it.
pub const TOPIC: &str = "Micro-Topic";
/// The only queue (or named subscriber) that shall handle it; every other settles it unseen.
pub const FOR_QUEUE: &str = "Micro-For-Queue";

/// On a dead letter: the topic it came from.
pub const DEAD_TOPIC: &str = "Micro-Dead-Topic";
/// On a dead letter: the queue, or the subscriber's name, that gave it up.
pub const DEAD_QUEUE: &str = "Micro-Dead-Queue";
/// On a dead letter: `decode`, `failed`, `rejected` or `crash`.
pub const DEAD_REASON: &str = "Micro-Dead-Reason";
/// On a dead letter: the text of the last error, one line, at most 1 KiB.
pub const DEAD_ERROR: &str = "Micro-Dead-Error";
/// On a dead letter: how often handlers failed with it.
pub const DEAD_ATTEMPTS: &str = "Micro-Dead-Attempts";
/// On a dead letter: when it was published, or first seen where the server keeps no time; Unix time in milliseconds.
pub const DEAD_FIRST_TIME: &str = "Micro-Dead-First-Time";
/// On a dead letter: when it was given up; Unix time in milliseconds.
pub const DEAD_LAST_TIME: &str = "Micro-Dead-Last-Time";

/// What the names of all headers of a dead letter begin with.
pub(crate) const DEAD_PREFIX: &str = "Micro-Dead-";
