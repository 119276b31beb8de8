use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use micro_core::Error;
use tokio::time::Instant;

use super::Breaker;
use crate::resilience::is_failure;

/// How long calls are counted together for the error rate.
const WINDOW: Duration = Duration::from_secs(10);

/// One breaker at work.
pub struct Circuit {
    breaker: Breaker,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Closed(Counts),
    /// Until then, for the time that it was.
    Open {
        until: Instant,
        time: Duration,
    },
    /// A trial is under way, or may be.
    HalfOpen {
        trying: bool,
        time: Duration,
    },
}

#[derive(Debug)]
struct Counts {
    began: Instant,
    calls: u32,
    failures: u32,
    in_a_row: u32,
}

impl Counts {
    fn new(began: Instant) -> Self {
        Self { began, calls: 0, failures: 0, in_a_row: 0 }
    }
}

/// A call that the circuit let through. Dropped without a word, it says nothing about the node.
#[derive(Debug)]
#[must_use = "the circuit learns by it how the call ended"]
pub struct Trial {
    circuit: Arc<Circuit>,
    /// It decides whether an open circuit closes.
    decides: bool,
    told: bool,
}

impl Circuit {
    /// Creates a closed circuit.
    #[must_use]
    pub fn new(breaker: Breaker) -> Self {
        Self { breaker, state: Mutex::new(State::Closed(Counts::new(Instant::now()))) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whether a call would be let through now.
    #[must_use]
    pub fn lets_through(&self) -> bool {
        self.closed_for().is_none()
    }

    /// Returns how long nothing is let through from now on; zero where a trial is under way; `None` where a call may go.
    #[must_use]
    pub fn closed_for(&self) -> Option<Duration> {
        match &*self.lock() {
            State::Closed(_) | State::HalfOpen { trying: false, .. } => None,
            State::HalfOpen { trying: true, .. } => Some(Duration::ZERO),
            State::Open { until, .. } => {
                Some(until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
            }
        }
    }

    /// Lets a call through, or says for how long it lets none.
    ///
    /// # Errors
    ///
    /// The time until the next trial; zero where one is under way.
    pub fn enter(self: &Arc<Self>) -> Result<Trial, Duration> {
        let mut state = self.lock();
        let decides = match &mut *state {
            State::Closed(_) => false,
            State::Open { until, time } => {
                let left = until.saturating_duration_since(Instant::now());
                if !left.is_zero() {
                    return Err(left);
                }
                *state = State::HalfOpen { trying: true, time: *time };
                true
            }
            State::HalfOpen { trying: true, .. } => return Err(Duration::ZERO),
            State::HalfOpen { trying, .. } => {
                *trying = true;
                true
            }
        };
        Ok(Trial { circuit: Arc::clone(self), decides, told: false })
    }

    fn ended(&self, decides: bool, failed: bool) {
        let (breaker, now) = (&self.breaker, Instant::now());
        let mut state = self.lock();
        let open = |time: Duration| State::Open { until: now + jittered(time), time };
        match &mut *state {
            State::Closed(counts) => {
                if now.duration_since(counts.began) >= WINDOW {
                    let in_a_row = counts.in_a_row;
                    *counts = Counts { in_a_row, ..Counts::new(now) };
                }
                counts.calls += 1;
                if !failed {
                    counts.in_a_row = 0;
                    return;
                }
                counts.failures += 1;
                counts.in_a_row += 1;
                let in_a_row = breaker.failures > 0 && counts.in_a_row >= breaker.failures;
                let by_rate =
                    counts.calls >= breaker.calls && counts.failures as f32 >= breaker.share * counts.calls as f32;
                if in_a_row || by_rate {
                    *state = open(breaker.first);
                }
            }
            State::HalfOpen { time, .. } if decides => {
                *state = match failed {
                    true => open(time.saturating_mul(2).min(breaker.longest)),
                    false => State::Closed(Counts::new(now)),
                };
            }
            // It began before the circuit opened.
            _ => {}
        }
    }

    fn given_up(&self, decides: bool) {
        if let State::HalfOpen { trying, .. } = &mut *self.lock()
            && decides
        {
            *trying = false;
        }
    }
}

impl Trial {
    /// The node answered.
    pub fn answered(mut self) {
        self.told = true;
        self.circuit.ended(self.decides, false);
    }

    /// The call ended with an error, which may be none of the node's.
    pub fn failed(mut self, error: &Error) {
        self.told = true;
        if error.kind() == micro_core::Kind::Cancelled {
            return self.circuit.given_up(self.decides);
        }
        self.circuit.ended(self.decides, is_failure(error));
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if !self.told {
            self.circuit.given_up(self.decides);
        }
    }
}

impl fmt::Debug for Circuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Circuit").field(&*self.lock()).finish()
    }
}

/// Up to a tenth longer, so that the callers of a node do not all try it at once.
fn jittered(time: Duration) -> Duration {
    time.mul_f64(1.0 + fastrand::f64() / 10.0)
}

#[cfg(test)]
mod tests {
    use micro_core::Kind;
    use tokio::time::advance;

    use super::*;

    fn circuit() -> Arc<Circuit> {
        let breaker = Breaker::new().failures(3).time(Duration::from_secs(1)).longest(Duration::from_secs(3));
        Arc::new(Circuit::new(breaker))
    }

    fn fail(circuit: &Arc<Circuit>, times: u32) {
        for _ in 0..times {
            circuit.enter().unwrap().failed(&Error::new(Kind::Unavailable, "x"));
        }
    }

    // P10
    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_open_it_one_trial_half_opens_it_and_a_success_closes_it() {
        let circuit = circuit();
        fail(&circuit, 2);
        circuit.enter().unwrap().answered();
        fail(&circuit, 2);
        assert!(circuit.lets_through(), "two in a row are not three");
        fail(&circuit, 1);
        let left = circuit.enter().unwrap_err();
        assert!(left > Duration::from_millis(900) && left <= Duration::from_millis(1_100), "{left:?}");
        advance(Duration::from_millis(1_101)).await;
        let trial = circuit.enter().unwrap();
        assert_eq!(circuit.enter().unwrap_err(), Duration::ZERO, "one trial at a time");
        trial.answered();
        let _many: Vec<_> = (0..10).map(|_| circuit.enter().unwrap()).collect();
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_trial_opens_it_for_twice_as_long_up_to_the_longest() {
        let circuit = circuit();
        fail(&circuit, 3);
        for seconds in [2.0, 3.0, 3.0] {
            advance(Duration::from_secs(4)).await;
            fail(&circuit, 1);
            let left = circuit.enter().unwrap_err().as_secs_f64();
            assert!((seconds..=seconds * 1.1).contains(&left), "{left} for {seconds}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_trial_that_is_given_up_leaves_its_place_to_the_next() {
        let circuit = circuit();
        fail(&circuit, 3);
        advance(Duration::from_secs(2)).await;
        drop(circuit.enter().unwrap());
        circuit.enter().unwrap().failed(&Error::new(Kind::Cancelled, "x"));
        circuit.enter().unwrap().answered();
        assert!(circuit.lets_through());
    }

    #[tokio::test(start_paused = true)]
    async fn half_of_many_calls_open_it_and_answers_of_the_application_do_not() {
        let rate = Arc::new(Circuit::new(Breaker::new().failures(0).error_rate(0.5, 10)));
        for _ in 0..50 {
            rate.enter().unwrap().failed(&Error::new(Kind::NotFound, "x"));
        }
        advance(WINDOW).await;
        for _ in 0..4 {
            rate.enter().unwrap().answered();
            fail(&rate, 1);
        }
        assert!(rate.lets_through(), "eight calls are not ten");
        rate.enter().unwrap().answered();
        fail(&rate, 1);
        assert!(!rate.lets_through());
    }

    #[tokio::test(start_paused = true)]
    async fn what_began_before_it_opened_changes_nothing() {
        let circuit = circuit();
        let slow = circuit.enter().unwrap();
        fail(&circuit, 3);
        slow.answered();
        assert!(!circuit.lets_through());
    }
}
