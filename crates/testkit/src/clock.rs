//! The clock of the test's runtime, which runs as ever and can be moved on.

use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt;
use micro::{Error, Kind, Result};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

use crate::journal::Journal;

/// Time passes in so many steps, so that what waits for one thing after another comes by all of them in their order.
const STEPS: u32 = 1000;
/// A step is not shorter than this.
const SHORTEST: Duration = Duration::from_millis(10);
/// How long a step waits, in real time, for handlers that are at work. While nothing comes of it, each step waits half as
/// long as the one before, down to the second time: a handler that waits for the clock would hold up every step.
const PATIENCE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(1));
/// How long all steps together wait so.
const ALL_PATIENCE: Duration = Duration::from_secs(2);
/// So often everything that can go on has its turn before the next step.
const TURNS: usize = 8;

/// Lets time pass.
pub(crate) async fn advance(journal: &Journal, time: Duration) -> Result<()> {
    check()?;
    let mut patience = Patience { step: PATIENCE.0, all: ALL_PATIENCE };
    patience.rest(journal).await;
    let step = (time / STEPS).max(SHORTEST);
    let mut left = time;
    while !left.is_zero() {
        let next = step.min(left);
        jump(next);
        left -= next;
        patience.rest(journal).await;
    }
    Ok(())
}

/// How long is still waited, in real time.
struct Patience {
    step: Duration,
    all: Duration,
}

impl Patience {
    /// Lets everything that can go on do so, and handlers finish that do not wait for the clock.
    async fn rest(&mut self, journal: &Journal) {
        let before = *journal.changes().borrow();
        turns().await;
        let began = std::time::Instant::now();
        let limit = self.step.min(self.all);
        while journal.busy() && began.elapsed() < limit {
            // Answers of calls come from other threads.
            sleep(Duration::from_micros(100)).await;
            yield_now().await;
        }
        self.all = self.all.saturating_sub(began.elapsed());
        let moved = *journal.changes().borrow() != before;
        self.step = if moved || !journal.busy() { PATIENCE.0 } else { (self.step / 2).max(PATIENCE.1) };
    }
}

/// Moves the clock, which then goes on as ever. Not a moment in between it stands still while tasks run: tokio would move
/// a clock that stands still to the next timer whenever nobody has anything to do, as while a call is on its way.
fn jump(time: Duration) {
    tokio::time::pause();
    // The clock moves at the first poll; what follows is only a yield.
    let _ = pin!(tokio::time::advance(time)).now_or_never();
    tokio::time::resume();
}

/// Lets every task that was woken have its turn.
pub(crate) async fn turns() {
    for _ in 0..TURNS {
        yield_now().await;
    }
    if Handle::current().runtime_flavor() != RuntimeFlavor::CurrentThread {
        // What another thread does takes its time to be seen.
        sleep(Duration::from_millis(2)).await;
    }
}

/// Refuses a runtime whose clock cannot be moved.
fn check() -> Result<()> {
    let refused = |text| Err(Error::new(Kind::Unsupported, text).operation("testkit.advance"));
    if Handle::current().runtime_flavor() != RuntimeFlavor::CurrentThread {
        return refused(
            "the clock of a runtime of several threads cannot be moved; leave flavor = \"multi_thread\" away: \
             #[tokio::test] has one thread",
        );
    }
    if stands_still() {
        return refused(
            "the clock of this test is paused; leave start_paused and tokio::time::pause away: the kit moves a clock \
             that runs",
        );
    }
    Ok(())
}

/// Tells whether the clock is paused, which tokio does not say.
fn stands_still() -> bool {
    let (here, real) = (Instant::now(), std::time::Instant::now());
    while real.elapsed() < Duration::from_micros(10) {
        std::hint::spin_loop();
    }
    Instant::now() == here
}
