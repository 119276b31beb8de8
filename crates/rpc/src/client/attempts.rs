//! The tries of a call: to a node chosen anew each time, with a pause between them.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use micro_core::selector::Candidate;
use micro_core::{Error, Kind, Result, Retry};
use tokio::time::sleep;

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
        let began = Instant::now();
        let chosen = choose(plan, &avoid).await?;
        progress.trying(&chosen);
        let outcome = attempt.attempt(plan, chosen.address(), tried == 0, progress).await;
        if let Chosen::Node(node) = &chosen {
            let selector = plan.selector.as_ref().unwrap_or(&plan.client.selector);
            selector.record(node, began.elapsed(), outcome.as_ref().err().map(|failed| &failed.error));
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
    let kept;
    let mut nodes = &*known;
    if !plan.filters.is_empty() {
        kept = nodes::filter(service, nodes, &plan.filters)?;
        nodes = &kept;
    }
    // A node that failed is left out, unless it is the only one.
    let others: Vec<_>;
    if !avoid.is_empty() {
        let is_avoided = |node: &&Arc<Candidate>| !avoid.iter().any(|other| other.node.id == node.node.id);
        others = nodes.iter().filter(is_avoided).cloned().collect();
        if !others.is_empty() {
            nodes = &others;
        }
    }
    let selector = plan.selector.as_ref().unwrap_or(&plan.client.selector);
    let node = selector.select(nodes).and_then(|place| nodes.get(place)).ok_or_else(|| {
        let text = format!("the selector {} found none of the {} nodes of {service} fit", selector.name(), nodes.len());
        Error::new(Kind::NoNode, text).id(CLIENT)
    })?;
    Ok(Chosen::Node(node.clone()))
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
