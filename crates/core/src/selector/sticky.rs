use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Candidate, Candidates, Choice, ConsistentHash, Outcome, Owner, P2c, Selector, hash};

/// Keeps the calls of a key, or session, on the node that its first call went to, for as long as that is there.
///
/// Other than with [`ConsistentHash`] new nodes take no sessions over. The first call goes where consistent hashing sends
/// it, so that a client that starts anew finds most sessions where they were. The key is
/// [what the call says](Choice::key), or a [metadata pair](Self::header); calls without one go by [`P2c`]. While the node
/// is out another stands in, and the session comes back.
///
/// The last 65,536 keys or more are remembered, in at most 131,072 entries of 16 bytes.
#[derive(Debug)]
pub struct Sticky {
    header: Option<String>,
    first: ConsistentHash,
    without_key: P2c,
    places: Owner,
    sessions: Box<[Mutex<Sessions>]>,
}

/// Parts of the memory, so that cores do not wait for each other.
const PARTS: usize = 64;

/// How many keys a part remembers in each of its two generations.
const KEYS: usize = 1_024;

/// Keys and the ids of their nodes, both as hashes: those used of late, and those used before.
#[derive(Debug, Default)]
struct Sessions {
    late: HashMap<u64, u64>,
    before: HashMap<u64, u64>,
}

impl Sessions {
    fn get(&mut self, key: u64) -> Option<u64> {
        if let Some(node) = self.late.get(&key) {
            return Some(*node);
        }
        let node = *self.before.get(&key)?;
        self.put(key, node);
        Some(node)
    }

    fn put(&mut self, key: u64, node: u64) {
        if self.late.len() >= KEYS {
            self.before = std::mem::take(&mut self.late);
        }
        self.late.insert(key, node);
    }
}

/// Nodes by the hash of their ids.
struct Places(Box<[(u64, u32)]>);

impl Places {
    fn of(candidates: &[Arc<Candidate>]) -> Self {
        let mut pairs: Vec<_> = candidates.iter().map(|node| node.id_hash()).zip(0..).collect();
        pairs.sort_unstable();
        Self(pairs.into())
    }

    fn get(&self, node: u64) -> Option<usize> {
        let at = self.0.binary_search_by_key(&node, |(node, _)| *node).ok()?;
        Some(self.0[at].1 as usize)
    }
}

impl Default for Sticky {
    fn default() -> Self {
        Self {
            header: None,
            first: ConsistentHash::default(),
            without_key: P2c::default(),
            places: Owner::default(),
            sessions: (0..PARTS).map(|_| Mutex::default()).collect(),
        }
    }
}

impl Sticky {
    /// Takes the key from a metadata pair of the call, unless the call says one itself.
    #[must_use]
    pub fn header(name: impl Into<String>) -> Self {
        Self { header: Some(name.into()), ..Self::default() }
    }
}

impl Selector for Sticky {
    fn name(&self) -> &'static str {
        "sticky"
    }

    fn select(&self, candidates: &Candidates, choice: &Choice<'_>) -> Option<usize> {
        let key = choice.key().or_else(|| choice.metadata(self.header.as_deref()?).map(hash::of));
        let Some(key) = key else { return self.without_key.select(candidates, choice) };
        let mut sessions = self.sessions[key as usize % PARTS].lock().unwrap_or_else(PoisonError::into_inner);
        let known = sessions.get(key);
        let place =
            known.and_then(|node| candidates.prepared(&self.places, |nodes| Places::of(nodes), |p| p.get(node)));
        match place {
            Some(place) if choice.allows(&candidates[place]) => Some(place),
            // It is there and cannot be called now: the session stays its.
            Some(_) => self.first.place(candidates, choice, key),
            None => {
                let place = self.first.place(candidates, choice, key)?;
                sessions.put(key, candidates[place].id_hash());
                Some(place)
            }
        }
    }

    fn record(&self, candidate: &Arc<Candidate>, outcome: &Outcome<'_>) {
        self.without_key.record(candidate, outcome);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::selector::tests::nodes;

    fn chosen(strategy: &Sticky, candidates: &Candidates) -> Vec<String> {
        let choice = Choice::new(Instant::now());
        let place = |key: usize| strategy.select(candidates, &choice.with_key(format!("session-{key}"))).unwrap();
        (0..1_000).map(|key| candidates[place(key)].node.id.clone()).collect()
    }

    fn part(candidates: &Candidates, places: impl Iterator<Item = usize>) -> Candidates {
        Candidates::new(places.map(|place| candidates[place].clone()).collect::<Vec<_>>())
    }

    #[test]
    fn a_session_stays_on_its_node_when_nodes_come() {
        let (strategy, all) = (Sticky::default(), nodes(10));
        let few = chosen(&strategy, &part(&all, 0..3));
        assert_eq!(chosen(&strategy, &all), few);
    }

    #[test]
    fn only_the_sessions_of_a_node_that_left_move_and_they_stay_where_they_went() {
        let (strategy, all) = (Sticky::default(), nodes(4));
        let before = chosen(&strategy, &all);
        let after = chosen(&strategy, &part(&all, 1..4));
        assert!(before.iter().zip(&after).all(|(before, after)| before == after || before == "n0"));
        assert!(before.contains(&"n0".to_owned()) && !after.contains(&"n0".to_owned()));
        assert_eq!(chosen(&strategy, &all), after, "the node that came back does not take them over");
    }

    #[test]
    fn a_session_comes_back_to_a_node_that_could_not_be_called_for_a_while() {
        let (strategy, all) = (Sticky::default(), nodes(4));
        let choice = Choice::new(Instant::now()).with_key("session");
        let home = strategy.select(&all, &choice).unwrap();
        let fit = |node: &Candidate| node.node.id != all[home].node.id;
        let away = strategy.select(&all, &choice.only(&fit)).unwrap();
        assert_ne!(away, home);
        assert_eq!(strategy.select(&all, &choice), Some(home));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (strategy, all) = (Sticky::default(), nodes(3));
        let choice = Choice::new(Instant::now());
        for key in 0..300_000_u64 {
            strategy.select(&all, &choice.with_key_hash(Some(hash::mix(key))));
        }
        let kept = |sessions: &Mutex<Sessions>| {
            let sessions = sessions.lock().unwrap();
            sessions.late.len() + sessions.before.len()
        };
        let all: usize = strategy.sessions.iter().map(kept).sum();
        assert!((65_536..=2 * PARTS * KEYS).contains(&all), "{all}");
    }
}
