use std::sync::Arc;
use std::time::Instant;

use micro_core::broker::Position;
use rdkafka::consumer::base_consumer::PartitionQueue;

use crate::checkpoint::Checkpoint;
use crate::context::Events;
use crate::native::Partition;
use crate::window::Window;

/// Which topic a share is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// The one that was subscribed to.
    Main,
    /// The one where long pauses are waited out.
    Retry,
}

/// One partition in a member's hands.
pub(crate) struct Share {
    pub(crate) source: Source,
    pub(crate) partition: i32,
    /// Held for its callback.
    _queue: PartitionQueue<Events>,
    pub(crate) messages: Arc<Partition>,
    pub(crate) window: Window,
    /// What is settled is not committed yet.
    pub(crate) dirty: bool,
    /// It goes to another member, at the latest at this time; nothing more is taken from it.
    pub(crate) draining: Option<Instant>,
    /// It moves to another position: nothing is taken until then.
    pub(crate) moving: bool,
    /// A transaction is about to commit its offset; nobody else may.
    pub(crate) in_transaction: bool,
    /// What is kept begins after where it wants to read.
    pub(crate) out_of_range: bool,
}

impl Share {
    pub(crate) fn new(
        source: Source,
        partition: i32,
        queue: PartitionQueue<Events>,
        messages: Partition,
        window: Window,
    ) -> Self {
        Self {
            source,
            partition,
            _queue: queue,
            messages: Arc::new(messages),
            window,
            dirty: false,
            draining: None,
            moving: false,
            in_transaction: false,
            out_of_range: false,
        }
    }

    /// Tells whether new messages may be taken from it.
    pub(crate) fn is_open(&self, ordered: bool) -> bool {
        self.draining.is_none()
            && !self.moving
            && !self.out_of_range
            // In strict order what failed comes before what follows it.
            && (!ordered || self.window.waiting() == 0)
    }

    pub(crate) fn position(&self, offset: i64) -> Position {
        position(self.partition, offset)
    }

    /// What to commit: the offset, and the text beside it.
    pub(crate) fn commit(&self, besides: &[u64]) -> Option<(i64, String)> {
        let (offset, checkpoint): (i64, Checkpoint) = self.window.checkpoint(besides)?;
        Some((offset, checkpoint.write(offset)))
    }
}

pub(crate) fn position(partition: i32, offset: i64) -> Position {
    Position::Offset { partition: partition.unsigned_abs(), offset: offset.unsigned_abs() }
}
