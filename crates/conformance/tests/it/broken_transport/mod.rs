//! The broken transports: each breaks the rule of one case, and the case must catch it.

mod client;
mod fixture;
#[path = "../../../../rpc/tests/it/conformance/grpc.rs"]
mod grpc;
mod server;
mod streams;
mod wrong;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use micro_conformance::Outcome;
use micro_conformance::transport::{Case, Fixture, cases, check};

use fixture::Broken;
use wrong::{DOUBLES, Wrong};

/// Most of a case is waiting, but not of one with thousands of calls.
const AT_ONCE: usize = 6;

fn case(id: &str) -> &'static Case {
    cases().find(|case| case.id == id).unwrap_or_else(|| panic!("a double breaks {id}, which is no case"))
}

/// Runs cases, each on a transport with one thing wrong.
fn outcomes(chosen: &[(&'static str, Wrong)]) -> Vec<(&'static str, Wrong, Outcome)> {
    let (next, outcomes) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((id, wrong)) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let fixture: Arc<dyn Fixture> = Arc::new(Broken(*wrong));
                    let outcome = check(case(id), &fixture);
                    outcomes.lock().unwrap().push((*id, *wrong, outcome));
                }
            });
        }
    });
    outcomes.into_inner().unwrap()
}

#[test]
fn every_transport_case_catches_its_doubles() {
    // One of them, to try it: MICRO_CASE=T04.
    let only = std::env::var("MICRO_CASE").ok();
    let chosen: Vec<_> =
        DOUBLES.iter().copied().filter(|(id, _)| only.as_ref().is_none_or(|only| id == only)).collect();
    let mut uncaught = outcomes(&chosen);
    uncaught.retain(|(_, _, outcome)| !matches!(outcome, Outcome::Failed(_)));
    assert!(uncaught.is_empty(), "{uncaught:#?}");
}

/// What they are made of keeps every rule, in the time that they have.
#[test]
fn a_transport_with_nothing_wrong_passes_where_the_broken_ones_fail() {
    let chosen: Vec<_> = cases().map(|case| (case.id, Wrong::Nothing)).collect();
    let mut failed = outcomes(&chosen);
    failed.retain(|(_, _, outcome)| *outcome != Outcome::Run);
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn what_a_transport_does_not_declare_it_must_refuse() {
    let gated = |id, wrong| outcomes(&[(id, wrong)]).remove(0).2;
    for (id, capability) in [("T14", "keep_alive"), ("T29", "health"), ("T30", "reflection")] {
        assert_eq!(gated(id, Wrong::DeclaresNothing), Outcome::Gated(capability), "{id}");
    }
    for id in ["T29", "T30"] {
        let outcome = gated(id, Wrong::AnswersWhatItDoesNotDeclare);
        assert!(matches!(outcome, Outcome::Failed(_)), "{id}: {outcome}");
    }
}

#[test]
fn every_transport_case_has_a_double() {
    let broken: BTreeSet<_> = DOUBLES.iter().map(|(id, _)| *id).collect();
    let cases: BTreeSet<_> = cases().map(|case| case.id).collect();
    assert_eq!(cases, broken);
}
