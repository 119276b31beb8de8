use std::sync::Arc;

use super::candidates::Part;
use super::census::Census;
use super::{Candidate, Candidates, Choice, Outcome, Owner, Selector};

/// Keeps calls in a zone, round any strategy: the nodes whose label `zone` is this one are asked first.
///
/// All nodes are used while the zone has too few that are well: fewer than [`least`](Self::least), or than
/// [half](Self::share) of those it has; [`Ejecting`](super::Ejecting) says which are. Likewise for a call that may go to
/// none of the zone.
///
/// # Examples
///
/// ```
/// use micro_core::selector::{Ejecting, P2c, ZoneAware};
///
/// let strategy = Ejecting::new(ZoneAware::new("eu-1a", P2c::default()).least(2));
/// ```
#[derive(Debug)]
pub struct ZoneAware<S> {
    zone: String,
    inner: S,
    local: Owner,
    least: usize,
    share: f32,
}

/// The nodes of the zone.
struct Local {
    part: Part,
    census: Census,
}

impl<S: Selector> ZoneAware<S> {
    /// Puts the preference for a zone round a strategy.
    #[must_use]
    pub fn new(zone: impl Into<String>, inner: S) -> Self {
        Self { zone: zone.into(), inner, local: Owner::default(), least: 1, share: 0.5 }
    }

    /// Sets how many nodes of the zone must be well for calls to stay there: 1 by default.
    #[must_use]
    pub fn least(mut self, nodes: usize) -> Self {
        self.least = nodes;
        self
    }

    /// Sets which share of the zone's nodes must be well, from 0 to 1: 0.5 by default.
    #[must_use]
    pub fn share(mut self, share: f32) -> Self {
        self.share = share;
        self
    }

    fn local(&self, candidates: &[Arc<Candidate>]) -> Local {
        let is_local = |node: &Candidate| node.node.metadata.get("zone") == Some(&self.zone);
        let places = (0..).zip(candidates).filter(|(_, node)| is_local(node)).map(|(place, _)| place);
        Local { part: Part::of(candidates, places.collect::<Vec<_>>()), census: Census::default() }
    }
}

impl<S: Selector> Selector for ZoneAware<S> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn select(&self, candidates: &Candidates, choice: &Choice<'_>) -> Option<usize> {
        let local = |local: &Local| {
            let list = &local.part.list;
            let well = list.len() - local.census.count(list, choice.millis()).out;
            if well == 0 || well < self.least || (well as f32) < self.share * list.len() as f32 {
                return None;
            }
            local.part.in_whole(self.inner.select(list, choice)?)
        };
        let place = candidates.prepared(&self.local, |nodes| self.local(nodes), local);
        place.or_else(|| self.inner.select(candidates, choice))
    }

    fn record(&self, candidate: &Arc<Candidate>, outcome: &Outcome<'_>) {
        self.inner.record(candidate, outcome);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::selector::tests::labelled;
    use crate::selector::{Ejecting, RoundRobin};
    use crate::{Error, Kind};

    /// Six nodes, the even ones in zone a.
    fn zones() -> Candidates {
        labelled(6, |i, node| node.with("zone", if i % 2 == 0 { "a" } else { "b" }))
    }

    fn shares(strategy: &dyn Selector, candidates: &Candidates, at: Instant) -> Vec<u32> {
        let mut hits = vec![0; candidates.len()];
        for _ in 0..60 {
            hits[strategy.select(candidates, &Choice::new(at)).unwrap()] += 1;
        }
        hits
    }

    #[test]
    fn calls_stay_in_the_zone() {
        let strategy = ZoneAware::new("a", RoundRobin::default());
        assert_eq!(shares(&strategy, &zones(), Instant::now()), [20, 0, 20, 0, 20, 0]);
    }

    #[test]
    fn where_no_node_is_in_the_zone_all_are_used() {
        let strategy = ZoneAware::new("c", RoundRobin::default());
        assert_eq!(shares(&strategy, &zones(), Instant::now()), [10; 6]);
    }

    #[test]
    fn calls_leave_a_zone_in_which_too_few_nodes_are_well_and_come_back() {
        let strategy = Ejecting::new(ZoneAware::new("a", RoundRobin::default())).failures(1);
        let (candidates, now) = (zones(), Instant::now());
        let error = Error::new(Kind::Refused, "x");
        let fail = |place: usize| strategy.record(&candidates[place], &Outcome::failed(&error, None, now));
        fail(0);
        assert_eq!(shares(&strategy, &candidates, now), [0, 0, 30, 0, 30, 0], "two of three are half and more");
        fail(2);
        assert_eq!(shares(&strategy, &candidates, now), [0, 15, 0, 15, 15, 15], "one of three is not");
        let later = now + std::time::Duration::from_secs(11);
        for place in [0, 2] {
            strategy.record(&candidates[place], &Outcome::answered(None, later));
        }
        assert_eq!(shares(&strategy, &candidates, later), [20, 0, 20, 0, 20, 0]);
    }

    #[test]
    fn a_call_that_may_go_to_none_of_the_zone_leaves_it() {
        let (strategy, candidates) = (ZoneAware::new("a", RoundRobin::default()), zones());
        let fit = |node: &Candidate| node.node.id == "n3";
        assert_eq!(strategy.select(&candidates, &Choice::new(Instant::now()).only(&fit)), Some(3));
    }
}
