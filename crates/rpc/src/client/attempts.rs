//! The tries of a call: to a node chosen anew each time, with a pause between them.

use std::future::{Future, pending};
use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};
use micro_core::selector::{Candidate, InFlight};
use micro_core::{Error, Kind, Result};
use tokio::time::{Instant, sleep, sleep_until};

use super::choose::{self, Chosen};
use super::plan::Plan;
use super::progress::Progress;
use crate::resilience::{self, Hedge, Trial};
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

    /// Whether two tries may be under way at once.
    const HEDGED: bool;

    /// Tries once, at this address.
    fn attempt(
        &self,
        plan: &Plan,
        address: &str,
        is_first: bool,
        progress: &Progress,
    ) -> impl Future<Output = Result<Self::Answer, Failed>> + Send;
}

/// A try that came to nothing only after it had counted as begun.
pub(super) struct Undone {
    pub(super) failed: Failed,
    pub(super) chosen: Chosen,
    /// Tries before it.
    pub(super) tried: u32,
}

/// Runs a call, trying again where that is allowed and can help; or goes on with one that was undone.
pub(super) async fn run<A: Attempt>(
    plan: &Plan,
    progress: &Progress,
    attempt: &A,
    undone: Option<Undone>,
) -> Result<A::Answer> {
    let mut avoid: Vec<Arc<Candidate>> = Vec::new();
    let begin = match undone {
        Some(Undone { failed, chosen, tried }) => {
            again(plan, failed, &chosen, &mut avoid, tried).await?;
            tried + 1
        }
        None => {
            enter(plan, progress).await?;
            0
        }
    };
    for tried in begin.. {
        let (chosen, trial) = choose::choose(plan, &avoid).await?;
        let beside = Some(plan).filter(|plan| A::HEDGED && plan.idempotent && tried == 0).and_then(Beside::of);
        let outcome = match beside {
            None => one(plan, progress, attempt, &chosen, trial, tried == 0).await,
            // Boxed: two tries are twice as large, and few calls may run twice.
            Some(beside) => Box::pin(hedged(plan, progress, attempt, beside, &chosen, trial, &mut avoid)).await,
        };
        match outcome {
            Ok(answer) => return Ok(answer),
            Err(failed) => again(plan, failed, &chosen, &mut avoid, tried).await?,
        }
    }
    Err(Error::new(Kind::Internal, "the tries ended without an answer"))
}

/// Waits until the call may begin.
async fn enter(plan: &Plan, progress: &Progress) -> Result<()> {
    if let (_, Some(rate)) = plan.limits() {
        rate.enter(plan.deadline()).await?;
    }
    if let (Some(limit), _) = plan.limits() {
        progress.entered(limit.enter().await?);
    }
    plan.client.policy.call();
    Ok(())
}

/// Waits until a call that failed may be tried again, or fails with it if it may not.
async fn again(
    plan: &Plan,
    failed: Failed,
    chosen: &Chosen,
    avoid: &mut Vec<Arc<Candidate>>,
    tried: u32,
) -> Result<()> {
    avoid.extend(chosen.node().cloned());
    if tried >= plan.retries || !may_retry(plan, &failed) {
        return Err(annotate(failed.error, plan, chosen, avoid, tried, None));
    }
    // Another node may take at once what this one surely did not begin.
    let at_once = tried == 0 && failed.not_run && chosen.others();
    let until = if at_once { None } else { Some(Instant::now() + plan.backoff.pause_after(&failed.error, tried)) };
    let why_not = match until {
        Some(until) if plan.deadline().is_some_and(|deadline| until >= deadline) => Some("no time is left"),
        _ if !plan.client.policy.may_try_again() => Some("the retry budget is spent"),
        _ => None,
    };
    if why_not.is_some() {
        return Err(annotate(failed.error, plan, chosen, avoid, tried, why_not));
    }
    metrics::counter!("micro_rpc_client_retries_total", "service" => plan.target.service.to_string()).increment(1);
    tracing::debug!(endpoint = %plan.target.endpoint, error = %failed.error, "a call is tried again");
    if let Some(until) = until {
        sleep_until(until).await;
    }
    Ok(())
}

/// Tries once, and tells selector and breaker how it went.
async fn one<A: Attempt>(
    plan: &Plan,
    progress: &Progress,
    attempt: &A,
    chosen: &Chosen,
    trial: Option<Trial>,
    is_first: bool,
) -> Result<A::Answer, Failed> {
    let in_flight = match chosen {
        Chosen::Node { node, .. } => Some(InFlight::new(plan.selector().clone(), node.clone())),
        Chosen::Address(_) => None,
    };
    progress.trying(chosen, in_flight);
    let outcome = attempt.attempt(plan, chosen.address(), is_first, progress).await;
    // Something of our own, as a header that cannot be sent: the node was not asked.
    let own = outcome.as_ref().is_err_and(|failed| failed.not_run && !is_of_the_node(&failed.error));
    if let Some(call) = progress.take() {
        match &outcome {
            Ok(_) => call.answered(),
            Err(_) if own => drop(call),
            Err(failed) => call.failed(&failed.error),
        }
    }
    if let Some(trial) = trial {
        match &outcome {
            Ok(_) => trial.answered(),
            Err(_) if own => drop(trial),
            Err(failed) => trial.failed(&failed.error),
        }
    }
    outcome
}

/// When a second node is asked beside the first.
enum Beside {
    /// It has no answer yet.
    Slow(Hedge),
    /// Half of the time is over, nothing came from it for a while, and it did not answer a ping.
    Silent { deadline: Instant },
}

impl Beside {
    fn of(plan: &Plan) -> Option<Self> {
        if plan.address.is_some() {
            return None;
        }
        let silent = || Some(Self::Silent { deadline: plan.deadline()? }).filter(|_| plan.retries > 0);
        plan.hedge.map(Self::Slow).or_else(silent)
    }

    /// Waits until it is time; never says so when it is not.
    async fn wait(&self, progress: &Progress) {
        match self {
            Self::Slow(hedge) => sleep(hedge.pause()).await,
            Self::Silent { deadline } => {
                let eighth = deadline.saturating_duration_since(Instant::now()) / 8;
                sleep(eighth * 2).await;
                let before = progress.heard();
                sleep(eighth).await;
                if !progress.doubt_silent(before) {
                    return pending().await;
                }
                sleep(eighth).await;
                if !progress.is_doubted() {
                    pending().await
                }
            }
        }
    }
}

/// When half of the time that is left will be over.
pub(super) fn half_way(deadline: Instant) -> Instant {
    let now = Instant::now();
    now + deadline.saturating_duration_since(now) / 2
}

/// Tries at one node, and at a second one beside it if the first is slow or silent.
async fn hedged<A: Attempt>(
    plan: &Plan,
    progress: &Progress,
    attempt: &A,
    beside: Beside,
    chosen: &Chosen,
    trial: Option<Trial>,
    avoid: &mut Vec<Arc<Candidate>>,
) -> Result<A::Answer, Failed> {
    let first = pin!(one(plan, progress, attempt, chosen, trial, true));
    let first = match select(first, pin!(beside.wait(progress))).await {
        Either::Left((outcome, _)) => return outcome,
        Either::Right(((), first)) => first,
    };
    let asked: Vec<_> = chosen.node().cloned().into_iter().collect();
    let Some((other, trial)) = choose::other(plan, &asked).await.filter(|_| plan.client.policy.may_try_again()) else {
        return first.await;
    };
    metrics::counter!("micro_rpc_client_hedges_total", "service" => plan.target.service.to_string()).increment(1);
    // Dropped with the rest of it if it is the slower one: the node is told to stop.
    let its = Progress::default();
    let second = pin!(one(plan, &its, attempt, &other, trial, false));
    let outcome = resilience::first_answer(first, second).await;
    avoid.extend(other.node().cloned());
    outcome
}

/// Tells whether an error before the call ran came about with the node.
fn is_of_the_node(error: &Error) -> bool {
    matches!(error.kind(), Kind::Refused | Kind::Unavailable | Kind::Timeout | Kind::ResourceExhausted)
}

fn may_retry(plan: &Plan, failed: &Failed) -> bool {
    if failed.not_run {
        return resilience::is_worth_it(&failed.error);
    }
    plan.idempotent && resilience::can_help(&failed.error)
}

/// Says where a call failed that did not come to an answer, how often it was tried and how long that took; an answer of
/// the other side is left as it is.
fn annotate(
    error: Error,
    plan: &Plan,
    chosen: &Chosen,
    tried_at: &[Arc<Candidate>],
    tried: u32,
    why_not: Option<&'static str>,
) -> Error {
    if error.get_id() != CLIENT || !matches!(error.kind(), Kind::Refused | Kind::Unavailable) {
        return error;
    }
    let error = error.with("service", &plan.target.service).with("endpoint", &plan.target.endpoint);
    let addresses: Vec<_> = tried_at.iter().map(|node| &*node.node.address).collect();
    let error = match addresses.len() {
        0 | 1 => error.with("node", chosen.address()),
        _ => error.with("nodes", addresses.join(" ")),
    };
    let error = error.with("tries", tried + 1);
    let error = if tried > 0 { error.with("within", format!("{:.1?}", plan.began.elapsed())) } else { error };
    match why_not {
        Some(why) => error.with("not tried again:", why),
        None => error,
    }
}
