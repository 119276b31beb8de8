//! Where a try goes.

use std::sync::Arc;

use micro_core::selector::{Candidate, Candidates, Choice};
use micro_core::{Error, Result};
use tokio::time::Instant;

use super::nodes;
use super::plan::Plan;
use crate::resilience::{Trial, refused};

/// The node, or the address that the call itself has.
#[derive(Clone)]
pub(super) enum Chosen {
    Node {
        node: Arc<Candidate>,
        /// There are others of the service.
        others: bool,
    },
    Address(Arc<str>),
}

impl Chosen {
    pub(super) fn address(&self) -> &str {
        match self {
            Self::Node { node, .. } => &node.node.address,
            Self::Address(address) => address,
        }
    }

    pub(super) fn node(&self) -> Option<&Arc<Candidate>> {
        match self {
            Self::Node { node, .. } => Some(node),
            Self::Address(_) => None,
        }
    }

    pub(super) fn others(&self) -> bool {
        matches!(self, Self::Node { others: true, .. })
    }
}

/// How often another call may have the one trial of a node between our look and ours.
const LOOKS: u32 = 3;

/// Chooses where to try: a node whose breaker lets calls through, if it can be one that was not tried yet.
pub(super) async fn choose(plan: &Plan, avoid: &[Arc<Candidate>]) -> Result<(Chosen, Option<Trial>)> {
    if let Some(address) = &plan.address {
        let trial = enter(plan, address)?;
        return Ok((Chosen::Address(address.clone()), trial));
    }
    let service = &*plan.target.service;
    let known = plan.client.nodes.of(service).await?;
    let mut last = None;
    for _ in 0..LOOKS {
        let Some(node) = place(plan, &known, avoid).and_then(|place| known.get(place)) else { break };
        match enter(plan, &node.node.address) {
            Ok(trial) => return Ok((Chosen::Node { node: node.clone(), others: known.len() > 1 }, trial)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.or_else(|| all_open(plan, &known)).unwrap_or_else(|| nodes::none_fit(service, &known, plan)))
}

/// Chooses a node beside those that are asked already, if there is one.
pub(super) async fn other(plan: &Plan, asked: &[Arc<Candidate>]) -> Option<(Chosen, Option<Trial>)> {
    let (chosen, trial) = choose(plan, asked).await.ok()?;
    let is_other = chosen.node().is_some_and(|node| asked.iter().all(|asked| asked.node.id != node.node.id));
    is_other.then_some((chosen, trial))
}

fn enter(plan: &Plan, address: &str) -> Result<Option<Trial>> {
    let Some(breaker) = plan.client.policy.breaker else { return Ok(None) };
    let circuit = plan.target.circuits.of(address, breaker);
    let whom = || format!("{} of service {} at {address}", plan.target.endpoint, plan.target.service);
    circuit.enter().map(Some).map_err(|left| refused(&whom(), left))
}

/// Says that every node that would do has an open breaker, if that is so.
fn all_open(plan: &Plan, known: &[Arc<Candidate>]) -> Option<Error> {
    plan.client.policy.breaker?;
    let fit = known.iter().filter(|node| plan.filters.iter().all(|filter| filter.keeps(node)));
    let mut left: Vec<_> = fit.filter_map(|node| plan.target.circuits.closed_for(&node.node.address)).collect();
    left.sort_unstable();
    let whom = format!("{} of service {} at {} nodes", plan.target.endpoint, plan.target.service, left.len());
    left.first().map(|least| refused(&whom, *least))
}

/// Returns the place of the node to try. One that failed is left out, unless there is no other.
fn place(plan: &Plan, known: &Candidates, avoid: &[Arc<Candidate>]) -> Option<usize> {
    let choice = Choice::new(Instant::now()).with_key_hash(plan.key).with_metadata(&plan.metadata);
    let breaks = plan.client.policy.breaker.is_some();
    let passes = |node: &Candidate| {
        plan.filters.iter().all(|filter| filter.keeps(node))
            && (!breaks || plan.target.circuits.lets_through(&node.node.address))
    };
    let filtered = if plan.filters.is_empty() && !breaks { choice } else { choice.only(&passes) };
    let selector = plan.selector();
    let other = |node: &Candidate| passes(node) && !avoid.iter().any(|failed| failed.node.id == node.node.id);
    let untried = if avoid.is_empty() { None } else { selector.select(known, &choice.only(&other)) };
    let place = untried.or_else(|| selector.select(known, &filtered))?;
    // A strategy of somebody's own may overlook what the call asks for.
    known.get(place).is_some_and(|node| passes(node)).then_some(place)
}
