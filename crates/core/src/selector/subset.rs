use std::sync::Arc;

use super::candidates::Part;
use super::{Candidate, Candidates, Choice, Outcome, Owner, Selector, hash};

/// Has a client use some nodes of many, round any strategy, so that a large fleet does not have a connection from each
/// client to each node.
///
/// The nodes stand on a circle, in an order that their ids give and that is the same for all clients. A client takes
/// those that follow its own place: clients that are numbered 0, 1, 2, … have places that are spread evenly, so that
/// every node has nearly the same number of clients; names have places by chance. A node that comes or goes changes at
/// most two nodes of a client.
///
/// # Examples
///
/// ```
/// use micro_core::selector::{P2c, Subset};
///
/// let strategy = Subset::new(20, "7", P2c::default());
/// ```
#[derive(Debug)]
pub struct Subset<S> {
    size: usize,
    /// The client's place, as a part of the circle of 2^64.
    place: u64,
    inner: S,
    part: Owner,
}

/// The golden section of the circle: multiples of it fall evenly.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl<S: Selector> Subset<S> {
    /// Has the client of this number or name use `size` nodes, chosen among by a strategy.
    #[must_use]
    pub fn new(size: usize, client: impl AsRef<str>, inner: S) -> Self {
        let client = client.as_ref();
        let place = match client.parse::<u64>() {
            Ok(number) => number.wrapping_mul(GOLDEN),
            Err(_) => hash::of(client.as_bytes()),
        };
        Self { size: size.max(1), place, inner, part: Owner::default() }
    }

    fn part(&self, candidates: &[Arc<Candidate>]) -> Part {
        let mut order: Vec<_> = candidates.iter().map(|node| hash::mix(node.id_hash())).zip(0_u32..).collect();
        order.sort_unstable();
        let start = ((u128::from(self.place) * order.len() as u128) >> 64) as usize;
        let mut places: Vec<_> =
            order.iter().cycle().skip(start).take(self.size.min(order.len())).map(|(_, at)| *at).collect();
        places.sort_unstable();
        Part::of(candidates, places)
    }
}

impl<S: Selector> Selector for Subset<S> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn select(&self, candidates: &Candidates, choice: &Choice<'_>) -> Option<usize> {
        if candidates.len() <= self.size {
            return self.inner.select(candidates, choice);
        }
        let place = candidates.prepared(
            &self.part,
            |nodes| self.part(nodes),
            |part| part.in_whole(self.inner.select(&part.list, choice)?),
        );
        // A call that may go to none of the part goes to another.
        place.or_else(|| self.inner.select(candidates, choice))
    }

    fn record(&self, candidate: &Arc<Candidate>, outcome: &Outcome<'_>) {
        self.inner.record(candidate, outcome);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tokio::time::Instant;

    use super::*;
    use crate::selector::RoundRobin;
    use crate::selector::tests::nodes;

    /// The nodes that a client calls.
    fn called(client: &str, candidates: &Candidates) -> BTreeSet<String> {
        let strategy = Subset::new(20, client, RoundRobin::default());
        let place = || strategy.select(candidates, &Choice::new(Instant::now())).unwrap();
        (0..60).map(|_| candidates[place()].node.id.clone()).collect()
    }

    #[test]
    fn a_client_uses_its_number_of_nodes_and_always_the_same() {
        let candidates = nodes(100);
        for client in ["0", "17", "orders-7f3a"] {
            assert_eq!(called(client, &candidates).len(), 20);
            assert_eq!(called(client, &candidates), called(client, &nodes(100)));
        }
        assert_eq!(called("1", &nodes(7)).len(), 7);
    }

    #[test]
    fn numbered_clients_load_all_nodes_nearly_alike() {
        let candidates = nodes(100);
        let mut clients = std::collections::BTreeMap::new();
        for client in 0..50 {
            for node in called(&client.to_string(), &candidates) {
                *clients.entry(node).or_insert(0) += 1;
            }
        }
        assert_eq!(clients.len(), 100);
        assert!(clients.values().all(|count| (8..=12).contains(count)), "ten each, nearly: {clients:?}");
    }

    #[test]
    fn a_node_that_leaves_or_comes_changes_two_nodes_of_a_client_at_most() {
        let all = nodes(100);
        for gone in 0..100 {
            let left: Vec<_> =
                all.iter().enumerate().filter(|(place, _)| *place != gone).map(|(_, n)| n.clone()).collect();
            let left = Candidates::new(left);
            for client in ["3", "11", "orders-7f3a"] {
                let (before, after) = (called(client, &all), called(client, &left));
                assert!(before.difference(&after).count() <= 2, "{gone} {client}");
            }
        }
    }

    #[test]
    fn a_call_that_may_go_to_none_of_the_part_goes_to_another() {
        let candidates = nodes(100);
        let (strategy, own) = (Subset::new(20, "1", RoundRobin::default()), called("1", &candidates));
        let fit = |node: &Candidate| !own.contains(&node.node.id);
        assert!(strategy.select(&candidates, &Choice::new(Instant::now()).only(&fit)).is_some());
    }
}
