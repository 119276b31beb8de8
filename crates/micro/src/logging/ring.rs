//! The last log lines of the process, for `Debug.Log`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, OnceLock, PoisonError};

use tokio::sync::broadcast;

/// How many lines are kept.
const KEPT: usize = 1024;

/// One line.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// Unix seconds.
    pub(crate) timestamp: i64,
    /// `file`, `level` and the fields.
    pub(crate) metadata: BTreeMap<String, String>,
    /// The text.
    pub(crate) message: String,
}

/// The ring of the process.
#[derive(Debug)]
pub(crate) struct Records {
    kept: Mutex<VecDeque<Record>>,
    live: broadcast::Sender<Record>,
}

impl Records {
    fn ring() -> &'static Self {
        static RING: OnceLock<Records> = OnceLock::new();
        RING.get_or_init(|| Self { kept: Mutex::default(), live: broadcast::Sender::new(KEPT) })
    }

    /// Adds a line; the oldest makes room.
    pub(super) fn push(record: Record) {
        let ring = Self::ring();
        if ring.live.receiver_count() > 0 {
            let _ = ring.live.send(record.clone());
        }
        let mut kept = ring.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(record);
    }

    /// Returns up to `count` of the last lines that are not older than `since` (Unix seconds), oldest first.
    pub(crate) fn last(count: usize, since: i64) -> Vec<Record> {
        let kept = Self::ring().kept.lock().unwrap_or_else(PoisonError::into_inner);
        let young = kept.iter().rev().take_while(|record| record.timestamp >= since).take(count);
        let mut lines: Vec<_> = young.cloned().collect();
        lines.reverse();
        lines
    }

    /// Hears of lines to come; one that is too slow loses the oldest.
    pub(crate) fn follow() -> broadcast::Receiver<Record> {
        Self::ring().live.subscribe()
    }
}
