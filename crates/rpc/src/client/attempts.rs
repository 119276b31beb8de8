//! The tries of a call: to a node chosen anew each time, with a pause between them.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use micro_core::selector::{Candidate, Candidates, Choice, InFlight};
use micro_core::{Error, Kind, Result, Retry};
use tokio::time::{Instant, sleep};

use super::nodes;
use super::plan::Plan;
use super::progress::Progress;
use crate::wire::status::CLIENT;

/// How a try failed.
pub(super) struct Failed {
    pub(super) error: Error,
    /// The call surely did not run.
    pub(super) not_run: bool,
}

impl Failed {
    pub(super) fn not_run(error: Error) -> Self {
        Self { error, not_run: true }
    }

    pub(super) fn maybe_run(error: Error) -> Self {
        Self { error, not_run: false }
    }
}

/// One try of a call.
pub(super) trait Attempt: Sync {
    type Answer: Send;

    /// Tries once, at this address.
    fn attempt(
        &self,
        plan: &Plan,
        address: &str,
        is_first: bool,
        progress: &Progress,
    ) -> impl Future<Output = Result<Self::Answer, Failed>> + Send;
}

/// Runs a call, trying again where that is allowed and can help.
pub(super) async fn run<A: Attempt>(plan: &Plan, progress: &Progress, attempt: &A) -> Result<A::Answer> {
    let mut avoid: Vec<Arc<Candidate>> = Vec::new();
    for tried in 0.. {
        let chosen = choose(plan, &avoid).await?;
        let in_flight = match &chosen {
            Chosen::Node(node) => Some(InFlight::new(plan.selector().clone(), node.clone())),
            Chosen::Address(_) => None,
        };
        progress.trying(&chosen, in_flight);
        let outcome = attempt.attempt(plan, chosen.address(), tried == 0, progress).await;
        if let Some(call) = progress.take() {
            match &outcome {
                Ok(_) => call.answered(),
                // Something of our own, as a header that cannot be sent: the node was not asked.
                Err(failed) if failed.not_run && !is_of_the_node(&failed.error) => drop(call),
                Err(failed) => call.failed(&failed.error),
            }
        }
        let failed = match outcome {
            Ok(answer) => return Ok(answer),
            Err(failed) => failed,
        };
        if tried >= plan.retries || !may_retry(plan, &failed) {
            return Err(annotate(failed.error, plan, &chosen, tried));
        }
        tracing::debug!(endpoint = %plan.target.endpoint, error = %failed.error, "a call is tried again");
        sleep(pause(tried)).await;
        if let Chosen::Node(node) = chosen {
            avoid.push(node);
        }
    }
    Err(Error::new(Kind::Internal, "the tries ended without an answer"))
}

/// Where a try goes.
#[derive(Clone)]
pub(super) enum Chosen {
    Node(Arc<Candidate>),
    Address(Arc<str>),
}

impl Chosen {
    pub(super) fn address(&self) -> &str {
        match self {
            Self::Node(node) => &node.node.address,
            Self::Address(address) => address,
        }
    }
}

async fn choose(plan: &Plan, avoid: &[Arc<Candidate>]) -> Result<Chosen> {
    if let Some(address) = &plan.address {
        return Ok(Chosen::Address(address.clone()));
    }
    let service = &*plan.target.service;
    let known = plan.client.nodes.of(service).await?;
    match place(plan, &known, avoid).and_then(|place| known.get(place)) {
        Some(node) => Ok(Chosen::Node(node.clone())),
        None => Err(nodes::none_fit(service, &known, plan)),
    }
}

/// Returns the place of the node to try. One that failed is left out, unless there is no other.
fn place(plan: &Plan, known: &Candidates, avoid: &[Arc<Candidate>]) -> Option<usize> {
    let choice = Choice::new(Instant::now()).with_key_hash(plan.key).with_metadata(&plan.metadata);
    let passes = |node: &Candidate| plan.filters.iter().all(|filter| filter.keeps(node));
    let filtered = if plan.filters.is_empty() { choice } else { choice.only(&passes) };
    let selector = plan.selector();
    let other = |node: &Candidate| passes(node) && !avoid.iter().any(|failed| failed.node.id == node.node.id);
    let untried = if avoid.is_empty() { None } else { selector.select(known, &choice.only(&other)) };
    let place = untried.or_else(|| selector.select(known, &filtered))?;
    // A strategy of somebody's own may overlook what the call asks for.
    known.get(place).is_some_and(|node| passes(node)).then_some(place)
}

/// Tells whether an error before the call ran came about with the node.
fn is_of_the_node(error: &Error) -> bool {
    matches!(error.kind(), Kind::Refused | Kind::Unavailable | Kind::Timeout | Kind::ResourceExhausted)
}

fn may_retry(plan: &Plan, failed: &Failed) -> bool {
    if failed.not_run {
        return failed.error.retry() != Retry::Never;
    }
    plan.idempotent
        && matches!(
            failed.error.kind(),
            Kind::Timeout | Kind::Internal | Kind::Unavailable | Kind::ResourceExhausted | Kind::Unknown
        )
}

/// Doubling from 50 ms to 2 s, less up to a half at random, so that callers do not come back all at once.
fn pause(tried: u32) -> Duration {
    let most = Duration::from_millis(50 << tried.min(5)).min(Duration::from_secs(2));
    most.mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// Says where a call failed that did not come to an answer; an answer of the other side is left as it is.
fn annotate(error: Error, plan: &Plan, chosen: &Chosen, tried: u32) -> Error {
    if error.get_id() != CLIENT || !matches!(error.kind(), Kind::Refused | Kind::Unavailable) {
        return error;
    }
    error
        .with("service", &plan.target.service)
        .with("endpoint", &plan.target.endpoint)
        .with("node", chosen.address())
        .with("tries", tried + 1)
}
