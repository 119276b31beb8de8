use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use tokio::time::Instant;

/// A retry costs so much, and each call brings a share of it.
const RETRY: i64 = 1_000;

/// How many further tries all calls of a client together may have: a share of its calls, and a few besides.
///
/// When everything fails, retries would multiply the load on what is left, just when it can bear it least. With the budget
/// spent, a call that fails has failed. What good times bring is saved up to a hundred tries. Clones share the budget.
///
/// # Examples
///
/// ```
/// use micro_rpc::resilience::Budget;
///
/// let budget = Budget::new(0.1);
/// for _ in 0..100 {
///     budget.call();
/// }
/// let tries = (0..100).filter(|_| budget.retry()).count();
/// assert!((20..=21).contains(&tries), "ten of the calls, ten to begin with: {tries}");
/// ```
#[derive(Clone)]
pub struct Budget(Arc<State>);

struct State {
    /// What a call brings, in thousandths of a try.
    share: i64,
    /// Tries a second that are had whatever the calls.
    least: u64,
    saved: AtomicI64,
    began: Instant,
    /// When `least` was last paid, in milliseconds since the begin.
    paid: AtomicU64,
}

/// Tries to begin with.
const FIRST: i64 = 10 * RETRY;

/// The most that is saved.
const MOST: i64 = 100 * RETRY;

impl Default for Budget {
    /// A tenth of the calls, and one a second.
    fn default() -> Self {
        Self::new(0.1)
    }
}

impl Budget {
    /// Creates a budget of this share of the calls, 0.1 for a tenth; one try a second is had besides, and ten to begin
    /// with.
    #[must_use]
    pub fn new(share: f64) -> Self {
        let share = (share.clamp(0.0, 1_000.0) * RETRY as f64) as i64;
        Self(Arc::new(State {
            share,
            least: 1,
            saved: AtomicI64::new(FIRST),
            began: Instant::now(),
            paid: AtomicU64::new(0),
        }))
    }

    /// Counts a call, which brings its share.
    pub fn call(&self) {
        self.add(self.0.share);
    }

    /// Takes a try out of the budget, if there is one.
    #[must_use]
    pub fn retry(&self) -> bool {
        self.pay();
        let taken = self
            .0
            .saved
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |saved| (saved >= RETRY).then_some(saved - RETRY));
        taken.is_ok()
    }

    fn add(&self, amount: i64) {
        // Full, it is left alone: good times write nothing that other cores have to read.
        if self.0.saved.load(Ordering::Relaxed) < MOST {
            self.0.saved.fetch_add(amount, Ordering::Relaxed);
        }
    }

    fn pay(&self) {
        let now = u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let paid = self.0.paid.load(Ordering::Relaxed);
        let seconds = now.saturating_sub(paid) / 1_000;
        if seconds > 0
            && self.0.paid.compare_exchange(paid, paid + seconds * 1_000, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            self.add(i64::try_from(seconds.saturating_mul(self.0.least)).unwrap_or(MOST).min(MOST / RETRY) * RETRY);
        }
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let saved = self.0.saved.load(Ordering::Relaxed) as f64 / RETRY as f64;
        f.debug_struct("Budget").field("share", &(self.0.share as f64 / RETRY as f64)).field("saved", &saved).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn retries(budget: &Budget, wanted: usize) -> usize {
        (0..wanted).filter(|_| budget.retry()).count()
    }

    // P08
    #[tokio::test(start_paused = true)]
    async fn under_total_failure_a_tenth_of_the_calls_is_tried_again() {
        let budget = Budget::default();
        retries(&budget, 10);
        let mut tried = 0;
        for _ in 0..10_000 {
            budget.call();
            tried += retries(&budget, 3);
        }
        assert_eq!(tried, 1_000);
    }

    #[tokio::test(start_paused = true)]
    async fn good_times_save_a_hundred_tries_and_no_more() {
        let budget = Budget::default();
        (0..100_000).for_each(|_| budget.call());
        assert_eq!(retries(&budget, 1_000), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_with_few_calls_may_still_try_again_now_and_then() {
        let budget = Budget::new(0.0);
        assert_eq!(retries(&budget, 100), 10, "to begin with");
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(retries(&budget, 100), 5, "one a second");
    }
}
