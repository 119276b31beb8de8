use std::sync::Arc;
use std::time::Duration;

use super::census::Census;
use super::health::Standing;
use super::{Candidate, Candidates, Choice, Outcome, Owner, Selector, clock};

/// Leaves out nodes whose calls [fail](Outcome::is_failure), round any strategy.
///
/// A node is out after so many failures [in a row](Self::failures), or when [half](Self::error_rate) of its calls in ten
/// seconds failed: for [10 s](Self::time), then twice as long each time, up to [5 min](Self::longest). After that it is
/// on trial, with one call at a time or a second: a success brings it back, to its slow start under
/// [`P2c`](super::P2c), and a failure sends it out again. What is long ago is forgiven.
///
/// If more than [half](Self::panic) of a service's nodes would be out, all are used: then it is not the nodes. Likewise a
/// call that may go to none but nodes that are out goes to them.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use micro_core::selector::{Ejecting, RoundRobin};
///
/// let strategy = Ejecting::new(RoundRobin::default()).failures(3).time(Duration::from_secs(30));
/// ```
#[derive(Debug)]
pub struct Ejecting<S> {
    inner: S,
    owner: Owner,
    failures: u32,
    error_rate: f32,
    least_calls: u32,
    /// Milliseconds, as the next.
    first: u64,
    longest: u64,
    panic: f32,
}

/// How long calls are counted together for the error rate, in milliseconds.
const WINDOW: u64 = 10_000;

/// How often a node on trial is tried while a call on it is not answered, in milliseconds.
const TRIAL: u64 = 1_000;

impl<S: Selector> Ejecting<S> {
    /// Puts ejection round a strategy.
    #[must_use]
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            owner: Owner::default(),
            failures: 5,
            error_rate: 0.5,
            least_calls: 20,
            first: 10_000,
            longest: 300_000,
            panic: 0.5,
        }
    }

    /// Sets after how many failures in a row a node is out: 5 by default, 0 for never.
    #[must_use]
    pub fn failures(mut self, failures: u32) -> Self {
        self.failures = failures;
        self
    }

    /// Sets from which share of failed calls on a node is out, from 0 to 1, and of how many calls at least in ten seconds:
    /// 0.5 of 20 by default. A share over 1 is never reached.
    #[must_use]
    pub fn error_rate(mut self, share: f32, calls: u32) -> Self {
        (self.error_rate, self.least_calls) = (share, calls.clamp(1, 50_000));
        self
    }

    /// Sets how long a node is out the first time: 10 s by default.
    #[must_use]
    pub fn time(mut self, time: Duration) -> Self {
        self.first = millis(time);
        self
    }

    /// Sets how long a node is out at most: 5 min by default.
    #[must_use]
    pub fn longest(mut self, time: Duration) -> Self {
        self.longest = millis(time);
        self
    }

    /// Sets the share of nodes, from 0 to 1, above which all are used if they would be out: 0.5 by default.
    #[must_use]
    pub fn panic(mut self, share: f32) -> Self {
        self.panic = share;
        self
    }
}

impl<S: Selector> Selector for Ejecting<S> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn select(&self, candidates: &Candidates, choice: &Choice<'_>) -> Option<usize> {
        let now = choice.millis();
        let count = candidates.prepared(&self.owner, |_| Census::default(), |census| census.count(candidates, now));
        if count.not_in == 0 || count.out as f32 > self.panic * candidates.len() as f32 {
            return self.inner.select(candidates, choice);
        }
        let fit = |candidate: &Candidate| may_be_called(candidate, now) && choice.allows(candidate);
        let Some(place) = self.inner.select(candidates, &choice.only(&fit)) else {
            return self.inner.select(candidates, choice);
        };
        if let Some(candidate) = candidates.get(place)
            && candidate.health().standing(now) == Standing::Trial
        {
            candidate.health().tried(now);
        }
        Some(place)
    }

    fn record(&self, candidate: &Arc<Candidate>, outcome: &Outcome<'_>) {
        self.inner.record(candidate, outcome);
        let (health, now) = (candidate.health(), clock::millis(outcome.at()));
        if outcome.is_given_up() || outcome.is_overload() {
            return;
        }
        let failed = outcome.is_failure();
        let (calls, failures) = health.count((now / WINDOW) as u32, failed);
        if !failed {
            if health.succeeded(now) {
                candidate.load().returned(now);
                tracing::info!(service = %candidate.service, node = %candidate.node.id, "a node is back: it answers again");
            }
            return;
        }
        let row = health.failed();
        let in_a_row = self.failures > 0 && row >= self.failures;
        let by_rate = calls >= self.least_calls && failures as f32 >= self.error_rate * calls as f32;
        let on_trial = health.standing(now) == Standing::Trial;
        if (in_a_row || by_rate || on_trial)
            && let Some(millis) = health.eject(now, self.first, self.longest)
        {
            tracing::warn!(
                service = %candidate.service,
                node = %candidate.node.id,
                address = %candidate.node.address,
                seconds = millis as f32 / 1e3,
                error = outcome.error().map(tracing::field::display),
                "a node is left out: its calls fail"
            );
        }
    }
}

/// Tells whether a node is in, or may have a call on trial.
fn may_be_called(candidate: &Candidate, now: u64) -> bool {
    match candidate.health().standing(now) {
        Standing::In => true,
        Standing::Out(_) => false,
        Standing::Trial => candidate.in_flight() == 0 || candidate.health().last_tried(now) >= TRIAL,
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::selector::tests::nodes;
    use crate::selector::{P2c, RoundRobin};
    use crate::{Error, Kind};

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn fail(strategy: &dyn Selector, node: &Arc<Candidate>, times: u32, at: Instant) {
        let error = Error::new(Kind::Unavailable, "x");
        for _ in 0..times {
            strategy.record(node, &Outcome::failed(&error, None, at));
        }
    }

    /// How often each node is chosen in a hundred calls that are not answered yet.
    fn shares(strategy: &dyn Selector, candidates: &Candidates, at: Instant) -> Vec<u32> {
        let mut hits = vec![0; candidates.len()];
        for _ in 0..100 {
            hits[strategy.select(candidates, &Choice::new(at)).unwrap()] += 1;
        }
        hits
    }

    #[test]
    fn p04_a_dead_endpoint_leaves_the_rotation() {
        let (strategy, candidates) = (Ejecting::new(RoundRobin::default()), nodes(4));
        let now = Instant::now();
        fail(&strategy, &candidates[1], 4, now);
        assert_eq!(shares(&strategy, &candidates, now), [25; 4], "four failures are not five");
        fail(&strategy, &candidates[1], 1, now);
        let hits = shares(&strategy, &candidates, now);
        assert!(hits[1] == 0 && hits.iter().sum::<u32>() == 100, "{hits:?}");
    }

    #[test]
    fn p04_a_success_between_failures_begins_the_count_anew() {
        let (strategy, candidates) = (Ejecting::new(RoundRobin::default()), nodes(4));
        let now = Instant::now();
        for _ in 0..3 {
            fail(&strategy, &candidates[1], 4, now);
            strategy.record(&candidates[1], &Outcome::answered(None, now));
        }
        assert_eq!(shares(&strategy, &candidates, now), [25; 4]);
    }

    #[test]
    fn p04_a_node_that_fails_every_other_call_leaves_the_rotation_by_its_rate() {
        let (strategy, candidates) = (Ejecting::new(RoundRobin::default()), nodes(4));
        let now = Instant::now();
        for _ in 0..25 {
            strategy.record(&candidates[2], &Outcome::answered(None, now));
            fail(&strategy, &candidates[2], 1, now);
        }
        assert_eq!(shares(&strategy, &candidates, now)[2], 0);
    }

    #[test]
    fn p04_answers_of_the_application_and_calls_given_up_eject_nobody() {
        let (strategy, candidates) = (Ejecting::new(RoundRobin::default()), nodes(2));
        let (now, error) = (Instant::now(), Error::new(Kind::NotFound, "x"));
        for _ in 0..100 {
            strategy.record(&candidates[0], &Outcome::failed(&error, None, now));
            strategy.record(&candidates[1], &Outcome::given_up(seconds(3), now));
        }
        assert_eq!(shares(&strategy, &candidates, now), [50; 2]);
    }

    #[test]
    fn p05_an_ejected_node_is_tried_one_call_at_a_time_and_returns_by_a_success() {
        let (strategy, candidates) = (Ejecting::new(RoundRobin::default()).time(seconds(10)), nodes(3));
        let now = Instant::now();
        fail(&strategy, &candidates[0], 5, now);
        assert_eq!(shares(&strategy, &candidates, now + seconds(9))[0], 0);
        let trial = now + seconds(11);
        let place =
            (0..3).map(|_| strategy.select(&candidates, &Choice::new(trial)).unwrap()).find(|place| *place == 0);
        assert_eq!(place, Some(0), "its time is over: it is tried");
        candidates[0].load().begin();
        assert_eq!(shares(&strategy, &candidates, trial)[0], 0, "no second call before the first is answered");
        candidates[0].load().end();
        strategy.record(&candidates[0], &Outcome::answered(None, trial));
        let hits = shares(&strategy, &candidates, trial);
        assert!(hits[0] >= 33, "{hits:?}");
    }

    #[test]
    fn p05_a_failure_on_trial_sends_a_node_out_for_twice_as_long() {
        let (strategy, candidates) = (Ejecting::new(RoundRobin::default()).time(seconds(10)), nodes(3));
        let now = Instant::now();
        fail(&strategy, &candidates[0], 5, now);
        fail(&strategy, &candidates[0], 1, now + seconds(11));
        assert_eq!(shares(&strategy, &candidates, now + seconds(30))[0], 0);
        assert!(shares(&strategy, &candidates, now + seconds(32))[0] > 0);
    }

    #[test]
    fn p05_a_node_that_returned_starts_slowly_under_p2c() {
        let (strategy, candidates) = (Ejecting::new(P2c::default().seed(1)).time(seconds(10)), nodes(2));
        let now = Instant::now() + seconds(60);
        fail(&strategy, &candidates[0], 5, now);
        let back = now + seconds(11);
        strategy.record(&candidates[0], &Outcome::answered(seconds(1) / 1000, back));
        let at_once = shares(&strategy, &candidates, back)[0];
        let full = shares(&strategy, &candidates, back + seconds(60))[0];
        assert!(at_once < 20 && (35..65).contains(&full), "{at_once} {full}");
    }

    #[test]
    fn p06_if_more_than_half_would_be_out_all_are_used() {
        let (strategy, candidates) = (Ejecting::new(RoundRobin::default()), nodes(4));
        let now = Instant::now();
        for place in [0, 1] {
            fail(&strategy, &candidates[place], 5, now);
        }
        let hits = shares(&strategy, &candidates, now);
        assert_eq!((hits[0], hits[1], hits[2], hits[3]), (0, 0, 50, 50), "half is not more than half");
        fail(&strategy, &candidates[2], 5, now);
        assert_eq!(shares(&strategy, &candidates, now), [25; 4]);
        assert_eq!(shares(&strategy, &candidates, now + seconds(9)), [25; 4]);
    }

    #[test]
    fn p06_a_call_that_may_go_to_none_but_ejected_nodes_goes_to_them() {
        let (strategy, candidates) = (Ejecting::new(P2c::default()), nodes(4));
        let now = Instant::now();
        fail(&strategy, &candidates[3], 5, now);
        let fit = |candidate: &Candidate| candidate.node.id == "n3";
        assert_eq!(strategy.select(&candidates, &Choice::new(now).only(&fit)), Some(3));
    }

    #[test]
    fn the_only_node_is_used_whatever_it_does() {
        let (strategy, candidates) = (Ejecting::new(P2c::default()), nodes(1));
        fail(&strategy, &candidates[0], 50, Instant::now());
        assert_eq!(strategy.select(&candidates, &Choice::new(Instant::now())), Some(0));
    }
}
