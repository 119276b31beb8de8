//! Which of a service's nodes a call goes to.

mod filter;
mod strategy;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use filter::Filter;
pub use strategy::{Random, RoundRobin};

use crate::Error;
use crate::registry::Node;

/// A node that a call may go to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Candidate {
    /// The service's name.
    pub service: Arc<str>,
    /// The version of the node.
    pub version: Arc<str>,
    /// The node.
    pub node: Node,
}

impl Candidate {
    /// Creates a candidate.
    #[must_use]
    pub fn new(service: impl Into<Arc<str>>, version: impl Into<Arc<str>>, node: Node) -> Self {
        Self { service: service.into(), version: version.into(), node }
    }
}

/// Chooses one of several nodes, for each try of a call anew.
///
/// The same list is given as the same `Arc`s from call to call, until the registry changes.
pub trait Selector: fmt::Debug + Send + Sync + 'static {
    /// Returns the strategy's name, as `--selector` takes it.
    fn name(&self) -> &'static str;

    /// Returns the place of the node to use, or `None` if no node is fit. `candidates` is never empty.
    fn select(&self, candidates: &[Arc<Candidate>]) -> Option<usize>;

    /// Hears how a call on a node went. `error` is `None` on success.
    fn record(&self, candidate: &Candidate, took: Duration, error: Option<&Error>) {
        let _ = (candidate, took, error);
    }
}
