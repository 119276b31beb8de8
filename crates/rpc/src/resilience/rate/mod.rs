//! So many calls a second.

mod layer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use layer::RateLayer;
use micro_core::{Error, Kind, Result, Retry};
use tokio::time::Instant;

use crate::wire::status::CLIENT;

/// Lets so many calls a second in, evenly, with a burst after a time of rest. Clones share the rate.
///
/// The generic cell rate algorithm (ITU-T I.371): one number says when the next call is due.
///
/// # Examples
///
/// ```
/// use micro_rpc::resilience::Rate;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let rate = Rate::per_second(1_000.0).burst(10);
/// for _ in 0..10 {
///     rate.enter(None).await?;
/// }
/// # Ok::<(), micro_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Rate(Arc<State>);

#[derive(Debug)]
struct State {
    began: Instant,
    /// Nanoseconds between two calls.
    step: u64,
    burst: u64,
    /// When the next call is due at the latest, in nanoseconds since the begin.
    due: AtomicU64,
}

impl Rate {
    /// Creates a rate; a tenth of a second's calls may come at once, and at least one.
    #[must_use]
    pub fn per_second(calls: f64) -> Self {
        let calls = if calls.is_finite() { calls.clamp(1e-3, 1e9) } else { 1e9 };
        Self::new((1e9 / calls) as u64, (calls / 10.0).max(1.0) as u64)
    }

    /// Sets how many calls may come at once, at least one. The rate begins anew.
    #[must_use]
    pub fn burst(self, calls: u64) -> Self {
        Self::new(self.0.step, calls.max(1))
    }

    fn new(step: u64, burst: u64) -> Self {
        Self(Arc::new(State { began: Instant::now(), step, burst, due: AtomicU64::new(0) }))
    }

    /// Waits until the call is due. Given up while it waits, the call has had its turn.
    ///
    /// # Errors
    ///
    /// [`Kind::ResourceExhausted`], at once, if that would be after the deadline, or in more than a minute.
    pub async fn enter(&self, deadline: Option<Instant>) -> Result<()> {
        let wait = self.wait(deadline)?;
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    fn wait(&self, deadline: Option<Instant>) -> Result<Duration> {
        let State { began, step, burst, .. } = *self.0;
        let now = nanos(began.elapsed());
        let tolerance = step.saturating_mul(burst - 1);
        let most =
            deadline.map_or(LONGEST, |at| at.saturating_duration_since(began + Duration::from_nanos(now)).min(LONGEST));
        let mut wait = 0;
        let entered = self.0.due.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |due| {
            let due = due.max(now);
            wait = due.saturating_sub(now + tolerance);
            (wait <= nanos(most)).then_some(due.saturating_add(step))
        });
        match entered {
            Ok(_) => Ok(Duration::from_nanos(wait)),
            Err(_) => {
                let text = format!(
                    "the call was not made: at {:.1} calls a second, this client's limit, its turn is in {:.1?}, after its time",
                    1e9 / step as f64,
                    Duration::from_nanos(wait)
                );
                Err(Error::new(Kind::ResourceExhausted, text).id(CLIENT).with_retry(Retry::Never))
            }
        }
    }
}

/// Nobody waits longer for a turn.
const LONGEST: Duration = Duration::from_secs(60);

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn behind_the_burst_calls_come_evenly() {
        let rate = Rate::per_second(100.0).burst(5);
        let began = Instant::now();
        let mut at = Vec::new();
        for _ in 0..8 {
            rate.enter(None).await.unwrap();
            at.push(began.elapsed().as_millis());
        }
        assert_eq!(at[..5], [0; 5]);
        // The timer of tokio counts in milliseconds.
        assert!((10..=11).contains(&at[5]) && (20..=22).contains(&at[6]) && (30..=33).contains(&at[7]), "{at:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_would_come_after_its_deadline_is_refused_at_once_and_takes_no_turn() {
        let rate = Rate::per_second(1.0).burst(1);
        rate.enter(None).await.unwrap();
        let soon = Some(Instant::now() + Duration::from_millis(500));
        for _ in 0..10 {
            let error = rate.enter(soon).await.unwrap_err();
            assert_eq!(error.kind(), Kind::ResourceExhausted);
            assert!(error.to_string().contains("1.0 calls a second"), "{error}");
        }
        let began = Instant::now();
        rate.enter(Some(began + Duration::from_secs(2))).await.unwrap();
        assert!(began.elapsed() <= Duration::from_millis(1_001));
    }

    #[tokio::test(start_paused = true)]
    async fn rest_saves_up_one_burst_only() {
        let rate = Rate::per_second(100.0).burst(5);
        tokio::time::advance(Duration::from_secs(60)).await;
        let free = (0..20).filter(|_| rate.wait(None).unwrap().is_zero()).count();
        assert_eq!(free, 5);
    }
}
