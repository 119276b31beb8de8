//! Time as a number, so that it can stand in an atomic.

use std::sync::OnceLock;

use tokio::time::Instant;

/// Returns the milliseconds since this program first asked, never zero: zero stands for never.
pub(super) fn millis(at: Instant) -> u64 {
    static FIRST: OnceLock<std::time::Instant> = OnceLock::new();
    let first = FIRST.get_or_init(std::time::Instant::now);
    1 + at.into_std().saturating_duration_since(*first).as_millis() as u64
}
