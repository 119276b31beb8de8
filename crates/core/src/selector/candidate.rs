use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::health::Health;
use super::load::Load;
use super::{clock, hash};
use crate::registry::Node;

/// A node that a call may go to, and how calls on it went.
///
/// What is known of its load and health belongs to the candidate, so that a strategy finds it without a search, and all
/// clients of a [`Cache`](crate::registry::Cache) share it. It is not part of what makes two candidates equal.
#[derive(Clone)]
#[non_exhaustive]
pub struct Candidate {
    /// The service's name.
    pub service: Arc<str>,
    /// The version of the node.
    pub version: Arc<str>,
    /// The node.
    pub node: Node,
    weight: f32,
    id_hash: u64,
    known: Arc<Known>,
}

/// What calls have shown.
pub(super) struct Known {
    pub(super) load: Load,
    pub(super) health: Health,
}

impl Candidate {
    /// Creates a candidate of which nothing is known yet.
    #[must_use]
    pub fn new(service: impl Into<Arc<str>>, version: impl Into<Arc<str>>, node: Node) -> Self {
        let known = Arc::new(Known { load: Load::new(Instant::now()), health: Health::default() });
        Self::made(service.into(), version.into(), node, known)
    }

    /// Creates the candidate of a node that changed its record but not its address: what is known of it stays.
    #[must_use]
    pub fn renewed(&self, version: impl Into<Arc<str>>, node: Node) -> Self {
        Self::made(self.service.clone(), version.into(), node, self.known.clone())
    }

    fn made(service: Arc<str>, version: Arc<str>, node: Node, known: Arc<Known>) -> Self {
        let (weight, id_hash) = (weight(&node), hash::of(node.id.as_bytes()));
        Self { service, version, node, weight, id_hash, known }
    }

    /// Returns how many calls of this process are on the node now, open streams among them.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.known.load.in_flight()
    }

    /// Returns how long the node took of late, as [`P2c`](super::P2c) or a strategy with one inside heard it; `None` before
    /// the first answer.
    #[must_use]
    pub fn latency(&self) -> Option<Duration> {
        self.known.load.latency()
    }

    /// Tells whether the node is left out at the moment, because calls on it failed.
    #[must_use]
    pub fn is_ejected(&self, now: Instant) -> bool {
        self.known.health.is_ejected(clock::millis(now))
    }

    /// Returns the node's label `weight`: 1 where there is none, or one that is no number from 0 to 1,000,000.
    #[must_use]
    pub fn weight(&self) -> f32 {
        self.weight
    }

    pub(super) fn id_hash(&self) -> u64 {
        self.id_hash
    }

    pub(super) fn load(&self) -> &Load {
        &self.known.load
    }

    pub(super) fn health(&self) -> &Health {
        &self.known.health
    }
}

fn weight(node: &Node) -> f32 {
    let read = |text: &String| text.trim().parse().ok().filter(|weight| (0.0..=1_000_000.0).contains(weight));
    node.metadata.get("weight").and_then(read).unwrap_or(1.0)
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        (&self.service, &self.version, &self.node) == (&other.service, &other.version, &other.node)
    }
}

impl Eq for Candidate {}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate")
            .field("service", &self.service)
            .field("version", &self.version)
            .field("node", &self.node)
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_that_is_none_is_one() {
        let of = |text| Candidate::new("s", "v", Node::new("n", "h:1").with("weight", text)).weight();
        assert_eq!((of("2.5"), of("0"), of(" 3 ")), (2.5, 0.0, 3.0));
        for bad in ["", "many", "-1", "NaN", "inf", "1e9"] {
            assert_eq!(of(bad), 1.0, "{bad}");
        }
        assert_eq!(Candidate::new("s", "v", Node::new("n", "h:1")).weight(), 1.0);
    }
}
