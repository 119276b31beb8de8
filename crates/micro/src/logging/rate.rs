//! So many a second, and no more.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

/// Counts in windows of a second. The clock is read only when a window is full.
#[derive(Debug)]
pub(super) struct Rate {
    limit: u32,
    taken: AtomicU32,
    /// The second, since the process first asked, that is being counted.
    window: AtomicU64,
}

impl Rate {
    pub(super) const fn new(limit: u32) -> Self {
        Self { limit, taken: AtomicU32::new(0), window: AtomicU64::new(0) }
    }

    /// Tells whether there is room for one more.
    pub(super) fn has_room(&self) -> bool {
        self.taken.load(Ordering::Relaxed) < self.limit || self.has_room_at(second())
    }

    fn has_room_at(&self, second: u64) -> bool {
        if self.window.load(Ordering::Relaxed) == second || self.window.swap(second, Ordering::Relaxed) == second {
            return false;
        }
        self.taken.store(0, Ordering::Relaxed);
        true
    }

    /// Takes one.
    pub(super) fn take(&self) {
        self.taken.fetch_add(1, Ordering::Relaxed);
    }
}

fn second() -> u64 {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    // From 1 on: 0 is the window that has not begun.
    BEGAN.get_or_init(Instant::now).elapsed().as_secs() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_second_has_no_room_and_the_next_has() {
        let rate = Rate::new(2);
        assert!(rate.has_room_at(1), "a new second");
        rate.take();
        assert!(rate.has_room(), "one of two");
        rate.take();
        assert!(!rate.has_room_at(1), "full");
        assert!(rate.has_room_at(2) && rate.has_room());
    }
}
