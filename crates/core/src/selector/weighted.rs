use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Candidates, Choice, Owner, Selector};

/// Chooses nodes by their label `weight`: one of weight 3 three times as often as one of weight 1, in turns that are
/// spread evenly.
///
/// A weight that is missing or no number from 0 to 1,000,000 counts as 1; a node of weight 0 gets no calls. Each node of
/// another weight has one turn in a schedule at least, so that weights further apart than a thousandfold are rounded.
#[derive(Debug)]
pub struct Weighted {
    turn: AtomicUsize,
    schedule: Owner,
}

/// How many turns a schedule has for each node, more or less.
const TURNS: f64 = 16.0;

/// How many turns a schedule has at least, so that few nodes are weighed exactly.
const LEAST: f64 = 1_000.0;

/// The golden section: multiples of it fall evenly.
const GOLDEN: f64 = 0.618_033_988_749_894_9;

impl Default for Weighted {
    fn default() -> Self {
        Self { turn: AtomicUsize::new(fastrand::usize(..1 << 16)), schedule: Owner::default() }
    }
}

/// The places of the nodes, turn by turn.
fn schedule(candidates: &Candidates) -> Box<[u32]> {
    let total: f64 = candidates.iter().map(|node| f64::from(node.weight())).sum();
    let turns = (candidates.len() as f64 * TURNS).max(LEAST);
    let mut at: Vec<(f64, u32)> = Vec::new();
    for (place, node) in (0..).zip(candidates.iter()).filter(|(_, node)| node.weight() > 0.0) {
        let own = (f64::from(node.weight()) / total * turns).round().max(1.0);
        // Each begins elsewhere, or the light ones would all come at once.
        let begin = (f64::from(place) * GOLDEN).fract();
        at.extend((0..own as u32).map(|turn| ((f64::from(turn) + begin) / own, place)));
    }
    at.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    at.into_iter().map(|(_, place)| place).collect()
}

impl Selector for Weighted {
    fn name(&self) -> &'static str {
        "weighted"
    }

    fn select(&self, candidates: &Candidates, choice: &Choice<'_>) -> Option<usize> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        candidates.prepared(&self.schedule, schedule, |schedule| {
            let (before, after) = schedule.split_at(turn.checked_rem(schedule.len())?);
            let mut places = after.iter().chain(before).map(|place| *place as usize);
            places.find(|place| choice.allows(&candidates[*place]))
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::selector::tests::labelled;

    fn weights(weights: &[&str]) -> Candidates {
        labelled(weights.len(), |i, node| if weights[i].is_empty() { node } else { node.with("weight", weights[i]) })
    }

    #[test]
    fn nodes_are_chosen_by_their_weight() {
        let (strategy, candidates) = (Weighted::default(), weights(&["3", "1", "6"]));
        let mut hits = [0; 3];
        for _ in 0..10_000 {
            hits[strategy.select(&candidates, &Choice::new(Instant::now())).unwrap()] += 1;
        }
        assert_eq!(hits, [3_000, 1_000, 6_000]);
    }

    #[test]
    fn the_turns_of_a_heavy_node_are_spread() {
        let (strategy, candidates) = (Weighted::default(), weights(&["5", "1", "1", "1", "1", "1"]));
        let turn = || strategy.select(&candidates, &Choice::new(Instant::now())).unwrap();
        let turns: Vec<_> = (0..1_000).map(|_| turn()).collect();
        assert!(turns.windows(4).all(|turns| turns.iter().filter(|place| **place == 0).count() <= 3), "{turns:?}");
    }

    #[test]
    fn a_bad_weight_is_one_and_zero_is_no_traffic() {
        let (strategy, candidates) = (Weighted::default(), weights(&["", "many", "-3", "1", "0"]));
        let mut hits = [0; 5];
        for _ in 0..10_000 {
            hits[strategy.select(&candidates, &Choice::new(Instant::now())).unwrap()] += 1;
        }
        assert_eq!(hits, [2_500, 2_500, 2_500, 2_500, 0]);
        assert_eq!(strategy.select(&weights(&["0", "0"]), &Choice::new(Instant::now())), None);
        assert_eq!(strategy.select(&weights(&[]), &Choice::new(Instant::now())), None);
    }

    #[test]
    fn a_node_that_a_call_may_not_go_to_is_passed_over() {
        let (strategy, candidates) = (Weighted::default(), weights(&["100", "1"]));
        let fit = |node: &crate::selector::Candidate| node.node.id == "n1";
        assert_eq!(strategy.select(&candidates, &Choice::new(Instant::now()).only(&fit)), Some(1));
    }
}
