//! Which of a service's nodes a call goes to.
//!
//! | strategy | a call goes to |
//! |---|---|
//! | [`P2c`] | of two nodes drawn the one with less to do: the default, with [`Ejecting`] round it |
//! | [`Random`], [`RoundRobin`] | any node; one after the other |
//! | [`Weighted`] | nodes by their label `weight` |
//! | [`ConsistentHash`] | the node of the call's key, so that few keys move when nodes come and go |
//! | [`Sticky`] | the node that the key's first call went to, for as long as it is there |
//! | [`from_fn`] | where a closure says |
//!
//! Round each of them: [`Ejecting`] leaves out nodes that fail, [`ZoneAware`] keeps calls in the zone, [`Subset`] has a
//! client use a few nodes of many. A [`Filter`] is part of a call.

mod candidate;
mod candidates;
mod census;
mod choice;
mod clock;
mod closure;
mod consistent;
mod dice;
mod ejecting;
mod filter;
mod hash;
mod health;
mod in_flight;
mod load;
mod outcome;
mod p2c;
mod sticky;
mod strategy;
mod subset;
mod weighted;
mod zone;

use std::fmt;
use std::sync::Arc;

pub use candidate::Candidate;
pub use candidates::{Candidates, Owner};
pub use choice::Choice;
pub use closure::{FromFn, from_fn};
pub use consistent::ConsistentHash;
pub use ejecting::Ejecting;
pub use filter::Filter;
pub use in_flight::InFlight;
pub use outcome::Outcome;
pub use p2c::P2c;
pub use sticky::Sticky;
pub use strategy::{Random, RoundRobin};
pub use subset::Subset;
pub use weighted::Weighted;
pub use zone::ZoneAware;

/// Chooses one of several nodes, for each try of a call anew.
///
/// It is asked on the way of every call, by all cores at once: what it needs of a list it keeps
/// [with the list](Candidates::prepared), what it needs of a node the [`Candidate`] has.
///
/// # Examples
///
/// The node with the fewest calls on it, in ten lines:
///
/// ```
/// use micro_core::selector::{Candidates, Choice, Selector};
///
/// #[derive(Debug)]
/// struct LeastBusy;
///
/// impl Selector for LeastBusy {
///     fn name(&self) -> &'static str {
///         "leastbusy"
///     }
///
///     fn select(&self, candidates: &Candidates, choice: &Choice<'_>) -> Option<usize> {
///         choice.among(candidates).min_by_key(|(_, node)| node.in_flight()).map(|(place, _)| place)
///     }
/// }
/// ```
pub trait Selector: fmt::Debug + Send + Sync + 'static {
    /// Returns the strategy's name, as `--selector` takes it.
    fn name(&self) -> &'static str;

    /// Returns the place of the node to use, one that the choice [allows](Choice::allows), or `None` if none is fit.
    fn select(&self, candidates: &Candidates, choice: &Choice<'_>) -> Option<usize>;

    /// Hears how a call on a node went: once for each try, also when the call was given up. A strategy round another
    /// passes it on.
    fn record(&self, candidate: &Arc<Candidate>, outcome: &Outcome<'_>) {
        let _ = (candidate, outcome);
    }
}

impl<S: Selector + ?Sized> Selector for Box<S> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn select(&self, candidates: &Candidates, choice: &Choice<'_>) -> Option<usize> {
        (**self).select(candidates, choice)
    }

    fn record(&self, candidate: &Arc<Candidate>, outcome: &Outcome<'_>) {
        (**self).record(candidate, outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Node;

    /// Nodes `n0`, `n1`, … of one service.
    pub(super) fn nodes(count: usize) -> Candidates {
        labelled(count, |_, node| node)
    }

    pub(super) fn labelled(count: usize, label: impl Fn(usize, Node) -> Node) -> Candidates {
        let node = |i| label(i, Node::new(format!("n{i}"), format!("127.0.0.1:{}", i + 1)));
        let made: Vec<_> = (0..count).map(|i| Arc::new(Candidate::new("s", "v", node(i)))).collect();
        Candidates::new(made)
    }
}
