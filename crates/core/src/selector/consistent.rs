use std::sync::Arc;

use super::{Candidate, Candidates, Choice, Outcome, Owner, P2c, Selector, hash};

/// Sends calls of one key to one node, the same from every client: when one of n nodes leaves, its keys alone move, and
/// a new one takes 1/n of the keys.
///
/// The key is [what the call says](Choice::key), or a [metadata pair](Self::header). A node has 64 places on a ring, by its
/// id, so that a node's share of the keys is 1/n give or take an eighth. If the node of a key is out, the next on the
/// ring stands in. Calls without a key go by [`P2c`].
///
/// # Examples
///
/// ```
/// use micro_core::selector::ConsistentHash;
///
/// let by_key = ConsistentHash::default();
/// let by_header = ConsistentHash::header("x-user");
/// ```
#[derive(Debug, Default)]
pub struct ConsistentHash {
    header: Option<String>,
    ring: Owner,
    without_key: P2c,
}

/// Places of a node. The same for every number of nodes, or a new node would move all of them.
const PLACES: u64 = 64;

impl ConsistentHash {
    /// Takes the key from a metadata pair of the call, unless the call says one itself.
    #[must_use]
    pub fn header(name: impl Into<String>) -> Self {
        Self { header: Some(name.into()), ..Self::default() }
    }

    /// Returns the hash of the call's key.
    fn key(&self, choice: &Choice<'_>) -> Option<u64> {
        choice.key().or_else(|| choice.metadata(self.header.as_deref()?).map(hash::of))
    }

    /// Returns the place of the node of a key.
    pub(super) fn place(&self, candidates: &Candidates, choice: &Choice<'_>, key: u64) -> Option<usize> {
        candidates.prepared(
            &self.ring,
            |nodes| Ring::of(nodes),
            |ring| ring.from(key).find(|place| candidates.get(*place).is_some_and(|node| choice.allows(node))),
        )
    }
}

impl Selector for ConsistentHash {
    fn name(&self) -> &'static str {
        "consistenthash"
    }

    fn select(&self, candidates: &Candidates, choice: &Choice<'_>) -> Option<usize> {
        match self.key(choice) {
            Some(key) => self.place(candidates, choice, key),
            None => self.without_key.select(candidates, choice),
        }
    }

    fn record(&self, candidate: &Arc<Candidate>, outcome: &Outcome<'_>) {
        self.without_key.record(candidate, outcome);
    }
}

/// The nodes' points, in order.
struct Ring {
    points: Box<[u64]>,
    nodes: Box<[u32]>,
    /// Where the points begin that have these upper bits.
    begins: Box<[u32]>,
    shift: u32,
}

impl Ring {
    fn of(candidates: &[Arc<Candidate>]) -> Self {
        let point = |node: &Candidate, place| hash::mix(node.id_hash() ^ hash::mix(place + 1));
        let mut pairs: Vec<(u64, u32)> = (0..)
            .zip(candidates)
            .flat_map(|(node, candidate)| (0..PLACES).map(move |place| (point(candidate, place), node)))
            .collect();
        pairs.sort_unstable();
        let bits = pairs.len().next_power_of_two().trailing_zeros().max(1);
        let shift = u64::BITS - bits;
        let mut begins = Vec::with_capacity(1 << bits);
        let mut at = 0;
        for upper in 0..1_u64 << bits {
            while pairs.get(at).is_some_and(|(point, _)| point >> shift < upper) {
                at += 1;
            }
            begins.push(at as u32);
        }
        let (points, nodes): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        Self { points: points.into(), nodes: nodes.into(), begins: begins.into(), shift }
    }

    /// Returns the places of nodes from a key on, once round; a node may come more than once.
    fn from(&self, key: u64) -> impl Iterator<Item = usize> {
        let mut at = self.begins[(key >> self.shift) as usize] as usize;
        while self.points.get(at).is_some_and(|point| *point < key) {
            at += 1;
        }
        let (before, after) = self.nodes.split_at(at);
        after.iter().chain(before).map(|node| *node as usize)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::Headers;
    use crate::selector::tests::nodes;

    const KEYS: usize = 10_000;

    fn chosen(strategy: &ConsistentHash, candidates: &Candidates) -> Vec<String> {
        let choice = Choice::new(Instant::now());
        let place = |key: usize| strategy.select(candidates, &choice.with_key(format!("user-{key}"))).unwrap();
        (0..KEYS).map(|key| candidates[place(key)].node.id.clone()).collect()
    }

    /// The same list without one node.
    fn without(candidates: &Candidates, id: &str) -> Candidates {
        let left: Vec<_> = candidates.iter().filter(|candidate| candidate.node.id != id).cloned().collect();
        Candidates::new(left)
    }

    #[test]
    fn p03_when_a_node_leaves_its_keys_alone_move() {
        let (strategy, all) = (ConsistentHash::default(), nodes(10));
        let before = chosen(&strategy, &all);
        let after = chosen(&strategy, &without(&all, "n4"));
        let moved = before.iter().zip(&after).filter(|(before, after)| before != after).count();
        assert_eq!(moved, before.iter().filter(|id| *id == "n4").count());
        assert!(moved < KEYS / 10 * 14 / 10, "about a tenth: {moved}");
    }

    #[test]
    fn p03_a_new_node_takes_its_part_and_nothing_else_moves() {
        let (strategy, all) = (ConsistentHash::default(), nodes(10));
        let before = chosen(&strategy, &without(&all, "n9"));
        let after = chosen(&strategy, &all);
        assert!(before.iter().zip(&after).all(|(before, after)| before == after || after == "n9"));
    }

    #[test]
    fn every_node_has_about_its_share_of_the_keys() {
        let ids = chosen(&ConsistentHash::default(), &nodes(10));
        for node in 0..10 {
            let share = ids.iter().filter(|id| **id == format!("n{node}")).count();
            assert!((600..1_400).contains(&share), "n{node} has {share}");
        }
    }

    #[test]
    fn every_client_sends_a_key_to_the_same_node() {
        let (one, other) = (ConsistentHash::default(), ConsistentHash::default());
        assert_eq!(chosen(&one, &nodes(7)), chosen(&other, &nodes(7)));
    }

    #[test]
    fn the_key_may_be_a_header_and_the_calls_own_goes_before() {
        let (strategy, candidates) = (ConsistentHash::header("x-user"), nodes(50));
        let mut metadata = Headers::new();
        metadata.append("X-User", "user-7");
        let choice = Choice::new(Instant::now());
        let by_key = |key: &str| strategy.select(&candidates, &choice.with_key(key));
        assert_eq!(strategy.select(&candidates, &choice.with_metadata(&metadata)), by_key("user-7"));
        let both = choice.with_metadata(&metadata).with_key("user-8");
        assert_eq!(strategy.select(&candidates, &both), by_key("user-8"));
        assert_ne!(by_key("user-7"), by_key("user-8"));
    }

    #[test]
    fn the_next_on_the_ring_stands_in_for_a_node_that_may_not_be_called() {
        let (strategy, candidates) = (ConsistentHash::default(), nodes(10));
        let choice = Choice::new(Instant::now());
        let fit = |candidate: &Candidate| candidate.node.id != "n4";
        let left = without(&candidates, "n4");
        for key in 0..1_000 {
            let choice = choice.with_key(format!("user-{key}"));
            let stands_in = strategy.select(&candidates, &choice.only(&fit)).unwrap();
            let if_it_left = strategy.select(&left, &choice).unwrap();
            assert_eq!(candidates[stands_in].node.id, left[if_it_left].node.id);
        }
        assert_eq!(strategy.select(&candidates, &choice.with_key("k").only(&|_| false)), None);
        assert_eq!(strategy.select(&nodes(0), &choice.with_key("k")), None);
    }

    #[test]
    fn calls_without_a_key_spread() {
        let (strategy, candidates) = (ConsistentHash::header("x-user"), nodes(3));
        let mut hits = [0; 3];
        for _ in 0..300 {
            hits[strategy.select(&candidates, &Choice::new(Instant::now())).unwrap()] += 1;
        }
        assert!(hits.iter().all(|hits| *hits > 50), "{hits:?}");
    }
}
