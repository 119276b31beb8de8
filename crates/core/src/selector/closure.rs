use std::fmt;
use std::sync::Arc;

use super::{Candidate, Candidates, Choice, Selector};

/// A strategy made of a closure by [`from_fn`].
pub struct FromFn<F> {
    name: &'static str,
    choose: F,
}

/// Makes a strategy of a closure, which is given the nodes that a call may go to and returns the place of one, or `None`
/// if none is fit.
///
/// For what calls ask for, and to hear how calls went, implement [`Selector`].
///
/// # Examples
///
/// ```
/// use micro_core::selector;
///
/// let first = selector::from_fn("first", |nodes| (!nodes.is_empty()).then_some(0));
/// ```
pub fn from_fn<F>(name: &'static str, choose: F) -> FromFn<F>
where
    F: Fn(&[Arc<Candidate>]) -> Option<usize> + Send + Sync + 'static,
{
    FromFn { name, choose }
}

impl<F> Selector for FromFn<F>
where
    F: Fn(&[Arc<Candidate>]) -> Option<usize> + Send + Sync + 'static,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn select(&self, candidates: &Candidates, choice: &Choice<'_>) -> Option<usize> {
        if choice.is_open() {
            return (self.choose)(candidates);
        }
        let (places, fit): (Vec<_>, Vec<_>) =
            choice.among(candidates).map(|(place, node)| (place, node.clone())).unzip();
        if fit.is_empty() {
            return None;
        }
        places.get((self.choose)(&fit)?).copied()
    }
}

impl<F> fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FromFn({})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::selector::tests::nodes;

    #[test]
    fn a_closure_sees_the_nodes_that_a_call_may_go_to() {
        let last = from_fn("last", |nodes| nodes.len().checked_sub(1));
        let (candidates, choice) = (nodes(4), Choice::new(Instant::now()));
        assert_eq!((last.name(), last.select(&candidates, &choice)), ("last", Some(3)));
        let fit = |node: &Candidate| node.node.id != "n3" && node.node.id != "n1";
        assert_eq!(last.select(&candidates, &choice.only(&fit)), Some(2));
        assert_eq!(last.select(&candidates, &choice.only(&|_| false)), None);
    }
}
