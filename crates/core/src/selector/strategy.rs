use std::sync::atomic::{AtomicUsize, Ordering};

use super::dice::Dice;
use super::{Candidates, Choice, Selector};

/// Chooses any node, each as likely as the others: go-micro's default.
#[derive(Debug, Clone, Copy, Default)]
pub struct Random;

impl Selector for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn select(&self, candidates: &Candidates, choice: &Choice<'_>) -> Option<usize> {
        Dice::Thread.draw(candidates, choice)
    }
}

/// Chooses one node after the other, from a random first.
#[derive(Debug)]
pub struct RoundRobin(AtomicUsize);

impl Default for RoundRobin {
    fn default() -> Self {
        Self(AtomicUsize::new(fastrand::usize(..1 << 16)))
    }
}

impl Selector for RoundRobin {
    fn name(&self) -> &'static str {
        "roundrobin"
    }

    fn select(&self, candidates: &Candidates, choice: &Choice<'_>) -> Option<usize> {
        let turn = self.0.fetch_add(1, Ordering::Relaxed);
        if choice.is_open() {
            return turn.checked_rem(candidates.len());
        }
        // Not the next one that is fit: it would have the share of those before it.
        let place = turn.checked_rem(choice.among(candidates).count())?;
        choice.among(candidates).nth(place).map(|(place, _)| place)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::selector::tests::nodes;

    fn shares(strategy: &dyn Selector, choice: &Choice<'_>) -> [u32; 4] {
        let candidates = nodes(4);
        let mut hits = [0; 4];
        for _ in 0..4000 {
            hits[strategy.select(&candidates, choice).unwrap()] += 1;
        }
        hits
    }

    #[test]
    fn p01_round_robin_gives_each_node_the_same_share() {
        assert_eq!(shares(&RoundRobin::default(), &Choice::new(Instant::now())), [1000; 4]);
    }

    #[test]
    fn p01_random_gives_each_node_about_the_same_share() {
        let hits = shares(&Random, &Choice::new(Instant::now()));
        assert!(hits.iter().all(|&n| (700..1300).contains(&n)), "{hits:?}");
    }

    #[test]
    fn nodes_that_a_call_may_not_go_to_leave_their_share_to_all_others_alike() {
        let choice = Choice::new(Instant::now());
        let fit = |candidate: &crate::selector::Candidate| candidate.node.id != "n1";
        let choice = choice.only(&fit);
        let hits = shares(&Random, &choice);
        assert!(hits[1] == 0 && [hits[0], hits[2], hits[3]].iter().all(|n| (1000..1700).contains(n)), "{hits:?}");
        let hits = shares(&RoundRobin::default(), &choice);
        assert!(hits[1] == 0 && [hits[0], hits[2], hits[3]].iter().all(|n| (1333..=1334).contains(n)), "{hits:?}");
    }

    #[test]
    fn of_no_node_none_is_chosen() {
        let (none, choice) = (nodes(0), Choice::new(Instant::now()));
        assert_eq!(Random.select(&none, &choice), None);
        assert_eq!(RoundRobin::default().select(&none, &choice), None);
        assert_eq!(crate::selector::P2c::default().select(&none, &choice), None);
    }
}
