use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Candidate, Selector};

/// Chooses any node, each as likely as the others: go-micro's default.
#[derive(Debug, Clone, Copy, Default)]
pub struct Random;

impl Selector for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn select(&self, candidates: &[Arc<Candidate>]) -> Option<usize> {
        Some(fastrand::usize(..candidates.len()))
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

    fn select(&self, candidates: &[Arc<Candidate>]) -> Option<usize> {
        Some(self.0.fetch_add(1, Ordering::Relaxed) % candidates.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Node;

    fn four() -> Vec<Arc<Candidate>> {
        (0..4).map(|i| Arc::new(Candidate::new("s", "v", Node::new(format!("n{i}"), "h:1")))).collect()
    }

    #[test]
    fn round_robin_gives_each_node_the_same_share() {
        let (candidates, strategy) = (four(), RoundRobin::default());
        let mut hits = [0; 4];
        for _ in 0..400 {
            hits[strategy.select(&candidates).unwrap()] += 1;
        }
        assert_eq!(hits, [100; 4]);
    }

    #[test]
    fn random_reaches_every_node() {
        let candidates = four();
        let mut hits = [0; 4];
        for _ in 0..4000 {
            hits[Random.select(&candidates).unwrap()] += 1;
        }
        assert!(hits.iter().all(|&n| n > 700), "{hits:?}");
    }
}
