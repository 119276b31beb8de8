use std::sync::Arc;
use std::time::Duration;

use super::dice::Dice;
use super::load::Load;
use super::{Candidate, Candidates, Choice, Outcome, Selector};

/// Draws two nodes and takes the one with less to do: calls on the way times recent latency. The default.
///
/// The latency follows in some ten calls and fades over the [`decay`](Self::decay), so that a node that was slow is asked
/// again. Latencies within a factor of two are taken as equal, for that much is chance. A failed call never makes a node
/// look quick, and failures make it count as slower, up to a hundredfold: a node that fails at once does not draw the
/// calls. If both nodes are sick, the best of those that are not is sought, so that an outage of all ends with the first
/// that is back. A node without an answer yet counts as quick as the one beside it. A new one takes a share that grows
/// over the [`slow_start`](Self::slow_start), unless the other one is sick.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use micro_core::selector::P2c;
///
/// let strategy = P2c::default().decay(Duration::from_secs(5)).slow_start(Duration::from_secs(30));
/// ```
#[derive(Debug)]
pub struct P2c {
    dice: Dice,
    /// Milliseconds, as the next.
    decay: f32,
    slow_start: f32,
}

/// Added to each latency, so that what is quick anyhow is not told apart by chance.
const QUICK: f32 = 100_000.0;

/// From which factor on one node is slower than another.
const SLOWER: f32 = 2.0;

/// The share that a new node has at once.
const FIRST_SHARE: f32 = 0.1;

/// From how many faults on a node is sick: about a third of its last calls failed.
const SICK: f32 = 10.0;

/// Among how many nodes one is sought that is not sick, if both that were drawn are.
const SOUGHT: usize = 32;

impl Default for P2c {
    fn default() -> Self {
        Self { dice: Dice::default(), decay: 10_000.0, slow_start: 10_000.0 }
    }
}

impl P2c {
    /// Sets the time in which what is known of a node fades to a third: 10 s by default.
    #[must_use]
    pub fn decay(mut self, decay: Duration) -> Self {
        self.decay = millis(decay).max(1.0);
        self
    }

    /// Sets after how long a new node, or one that came back, has its full share: 10 s by default, zero for at once.
    #[must_use]
    pub fn slow_start(mut self, slow_start: Duration) -> Self {
        self.slow_start = millis(slow_start);
        self
    }

    /// Draws by a seed, so that a test sees the same choices each time.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.dice = Dice::seeded(seed);
        self
    }

    /// Tells whether so many of a node's calls fail that it is called only if there is no other.
    fn is_sick(&self, load: &Load, now: u64) -> bool {
        load.fault(now, self.decay) > SICK
    }

    /// Returns the best node that is not sick, of so many from a place drawn on.
    fn seek(&self, candidates: &Candidates, choice: &Choice<'_>, now: u64) -> Option<usize> {
        let (count, start) = (candidates.len(), self.dice.under(candidates.len()));
        let places = (0..count.min(SOUGHT)).map(|step| (start + step) % count);
        places
            .filter(|place| choice.allows(&candidates[*place]) && !self.is_sick(candidates[*place].load(), now))
            .reduce(|best, place| {
                let better = self.is_better(candidates[best].load(), candidates[place].load(), now);
                if better { place } else { best }
            })
    }

    /// Tells whether the second of two nodes is the better.
    fn is_better(&self, one: &Load, other: &Load, now: u64) -> bool {
        let (fault, other_fault) = (one.fault(now, self.decay), other.fault(now, self.decay));
        match (fault > SICK, other_fault > SICK) {
            // Neither how quickly they fail nor how new they are tells which is well again first, but a success does.
            (true, true) => return other_fault < fault,
            (true, false) => return true,
            (false, true) => return false,
            (false, false) => {}
        }
        let (share, other_share) = (self.share(one, now), self.share(other, now));
        if other_share < share && self.dice.share() > other_share / share {
            return false;
        }
        if share < other_share && self.dice.share() > share / other_share {
            return true;
        }
        let (mut slow, mut other_slow) = (one.fading_latency(now, self.decay), other.fading_latency(now, self.decay));
        if slow == 0.0 {
            slow = other_slow;
        } else if other_slow == 0.0 {
            other_slow = slow;
        }
        slow = (slow + QUICK) * fault;
        other_slow = (other_slow + QUICK) * other_fault;
        let busy = (one.in_flight() + 1) as f32;
        let other_busy = (other.in_flight() + 1) as f32;
        let ratio = other_slow / slow;
        if (1.0 / SLOWER..=SLOWER).contains(&ratio) { other_busy < busy } else { other_slow * other_busy < slow * busy }
    }

    /// The part of its full share that a node has by its age.
    fn share(&self, load: &Load, now: u64) -> f32 {
        let age = load.age(now) as f32;
        if age >= self.slow_start { 1.0 } else { (age / self.slow_start).max(FIRST_SHARE) }
    }
}

impl Selector for P2c {
    fn name(&self) -> &'static str {
        "p2c"
    }

    fn select(&self, candidates: &Candidates, choice: &Choice<'_>) -> Option<usize> {
        let one = self.dice.draw(candidates, choice)?;
        let Some(other) = self.dice.draw_other(candidates, choice, one) else { return Some(one) };
        let now = choice.millis();
        let better = self.is_better(candidates[one].load(), candidates[other].load(), now);
        let best = if better { other } else { one };
        if self.is_sick(candidates[best].load(), now) {
            return self.seek(candidates, choice, now).or(Some(best));
        }
        Some(best)
    }

    fn record(&self, candidate: &Arc<Candidate>, outcome: &Outcome<'_>) {
        let (load, now) = (candidate.load(), super::clock::millis(outcome.at()));
        if outcome.is_failure() || outcome.is_overload() {
            load.failed(now, self.decay);
        } else if outcome.is_success() {
            load.succeeded(now, self.decay);
        }
        let Some(took) = outcome.took() else { return };
        if outcome.is_success() {
            load.took(took, now, self.decay);
        } else {
            load.took_at_least(took, now, self.decay);
        }
    }
}

fn millis(time: Duration) -> f32 {
    time.as_secs_f32() * 1e3
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::selector::clock;
    use crate::selector::tests::nodes;
    use crate::{Error, Kind};

    /// A minute on: nobody is new any longer.
    fn later() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    /// Plays calls that come every millisecond, take a time by their node, and fail where it is none.
    fn play(strategy: &P2c, candidates: &Candidates, calls: u32, took: impl Fn(usize) -> Option<u64>) -> Vec<u32> {
        let (start, error) = (later(), Error::new(Kind::Refused, "x"));
        let mut hits = vec![0; candidates.len()];
        let mut ends: Vec<(u64, usize, u64)> = Vec::new();
        for call in 0..u64::from(calls) {
            let now = start + Duration::from_millis(call);
            ends.retain(|(end, place, took)| {
                if *end <= call {
                    candidates[*place].load().end();
                    let outcome = Outcome::answered(Duration::from_millis(*took), now);
                    strategy.record(&candidates[*place], &outcome);
                }
                *end > call
            });
            let place = strategy.select(candidates, &Choice::new(now)).unwrap();
            hits[place] += 1;
            match took(place) {
                Some(took) => {
                    candidates[place].load().begin();
                    ends.push((call + took, place, took));
                }
                None => strategy.record(&candidates[place], &Outcome::failed(&error, Duration::from_micros(50), now)),
            }
        }
        hits
    }

    #[test]
    fn p01_equal_nodes_have_about_equal_shares() {
        let hits = play(&P2c::default().seed(1), &nodes(5), 10_000, |_| Some(10));
        assert!(hits.iter().all(|hits| (1_800..2_200).contains(hits)), "{hits:?}");
    }

    #[test]
    fn p01_latencies_within_a_factor_of_two_are_chance() {
        let hits = play(&P2c::default().seed(2), &nodes(5), 10_000, |place| Some(10 + place as u64));
        assert!(hits.iter().all(|hits| *hits > 1_500), "{hits:?}");
    }

    #[test]
    fn p02_a_node_ten_times_slower_has_a_small_share() {
        let took = |place| Some(if place == 3 { 100 } else { 10 });
        let hits = play(&P2c::default().seed(3), &nodes(5), 10_000, took);
        // Under one in a hundred, or it would make the 99th percentile.
        assert!(hits[3] < 100, "{hits:?}");
        assert!(hits[3] > 0 && [0, 1, 2, 4].iter().all(|place| hits[*place] > 2_000), "{hits:?}");
    }

    #[test]
    fn p02_a_node_that_is_quick_again_has_its_share_again() {
        let (strategy, candidates) = (P2c::default().seed(4), nodes(2));
        for place in 0..2 {
            let took = Duration::from_millis(if place == 0 { 100 } else { 10 });
            strategy.record(&candidates[place], &Outcome::answered(took, later()));
        }
        let hits = |now| (0..100).filter(|_| strategy.select(&candidates, &Choice::new(now)) == Some(0)).count();
        assert_eq!(hits(later()), 0);
        // Nobody asked either of them for long: what was known has faded.
        assert!((30..70).contains(&hits(later() + Duration::from_secs(120))));
    }

    #[test]
    fn a_node_that_fails_at_once_does_not_draw_the_calls() {
        let took = |place| (place != 2).then_some(20);
        let hits = play(&P2c::default().seed(5), &nodes(5), 10_000, took);
        assert!(hits[2] < 200, "{hits:?}");
    }

    #[test]
    fn a_slow_node_has_a_small_share_though_the_quick_ones_have_slow_moments() {
        // One answer in fifty takes fifteen times as long, as on a machine with other work: the quick ones must not look
        // as slow as their worst moments.
        let calls = std::cell::Cell::new(0_u64);
        let took = |place| {
            calls.set(calls.get() + 1);
            Some(if place == 3 {
                100
            } else if calls.get().is_multiple_of(50) {
                150
            } else {
                10
            })
        };
        let hits = play(&P2c::default().seed(10), &nodes(5), 20_000, took);
        assert!(hits[3] < 150, "{hits:?}");
    }

    #[test]
    fn an_outage_of_all_nodes_ends_with_the_first_that_is_back_though_it_is_the_slowest() {
        let (strategy, candidates, error) = (P2c::default().seed(11), nodes(5), Error::new(Kind::Unavailable, "x"));
        let mut now = later();
        let call = |now: Instant, back: Option<usize>| {
            let place = strategy.select(&candidates, &Choice::new(now)).unwrap();
            let took = Duration::from_millis(if place == 2 { 100 } else { 1 });
            match back == Some(place) {
                true => strategy.record(&candidates[place], &Outcome::answered(took, now)),
                false => strategy.record(&candidates[place], &Outcome::failed(&error, took, now)),
            }
            place
        };
        for _ in 0..2_000 {
            now += Duration::from_millis(1);
            call(now, None);
        }
        let mut last = Vec::new();
        for _ in 0..500 {
            now += Duration::from_millis(1);
            last.push(call(now, Some(2)));
        }
        let others = last.iter().skip(200).filter(|place| **place != 2).count();
        assert_eq!(others, 0, "{last:?}");
    }

    #[test]
    fn a_new_node_beside_sick_ones_has_all_calls_at_once() {
        let (strategy, candidates, error) = (P2c::default().seed(12), nodes(5), Error::new(Kind::Refused, "x"));
        let now = later();
        for candidate in &candidates[..4] {
            (0..20).for_each(|_| strategy.record(candidate, &Outcome::failed(&error, None, now)));
        }
        candidates[4].load().returned(clock::millis(now));
        assert!((0..100).all(|_| strategy.select(&candidates, &Choice::new(now)) == Some(4)));
    }

    #[test]
    fn a_new_node_gets_no_more_than_its_share_and_that_by_and_by() {
        let (strategy, candidates) = (P2c::default().seed(6), nodes(5));
        let now = later();
        for place in 0..4 {
            strategy.record(&candidates[place], &Outcome::answered(Duration::from_millis(50), now));
            candidates[place].load().begin();
        }
        candidates[4].load().returned(clock::millis(now));
        let share = |after| {
            let choice = Choice::new(now + Duration::from_secs(after));
            (0..10_000).filter(|_| strategy.select(&candidates, &choice) == Some(4)).count()
        };
        // It is idle while all others are busy: at its full share it would be taken whenever it is drawn, 4 in 10.
        let (at_once, half, full) = (share(0), share(5), share(10));
        assert!((300..500).contains(&at_once), "{at_once}");
        assert!((1_800..2_200).contains(&half), "{half}");
        assert!((3_800..4_200).contains(&full), "{full}");
        // With calls on it like the others, it has what they have.
        candidates[4].load().begin();
        assert!((1_800..2_200).contains(&share(10)), "{}", share(10));
    }

    #[test]
    fn nodes_that_are_all_new_share_alike_at_once() {
        let (strategy, candidates) = (P2c::default().seed(7), nodes(4));
        let now = Instant::now();
        for candidate in candidates.iter() {
            candidate.load().returned(clock::millis(now));
        }
        let mut hits = [0; 4];
        for _ in 0..4_000 {
            hits[strategy.select(&candidates, &Choice::new(now)).unwrap()] += 1;
        }
        assert!(hits.iter().all(|hits| (850..1_150).contains(hits)), "{hits:?}");
    }

    #[test]
    fn the_less_busy_of_two_equal_nodes_is_taken() {
        let (strategy, candidates) = (P2c::default().seed(8), nodes(2));
        candidates[0].load().begin();
        assert!((0..100).all(|_| strategy.select(&candidates, &Choice::new(later())) == Some(1)));
    }

    #[test]
    fn a_node_that_a_call_may_not_go_to_is_not_taken() {
        let (strategy, candidates) = (P2c::default().seed(9), nodes(3));
        let fit = |candidate: &Candidate| candidate.node.id == "n2";
        let choice = Choice::new(later());
        assert!((0..100).all(|_| strategy.select(&candidates, &choice.only(&fit)) == Some(2)));
        assert_eq!(strategy.select(&candidates, &choice.only(&|_| false)), None);
    }
}
