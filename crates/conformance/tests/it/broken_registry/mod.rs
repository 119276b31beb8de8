//! The broken registries: each breaks the rule of one case, and the case must catch it.

mod nobody;
mod process;
mod registry;
mod watch;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use micro_conformance::Outcome;
use micro_conformance::registry::{Case, Fixture, Limits, Outage, Process, cases, check};
use micro_core::registry::Registry;

pub(crate) use registry::Wrong;

use crate::away::Away;
use nobody::Nobody;
use process::Task;
use registry::Broken;

/// The case that must catch it, and what is done wrong.
const DOUBLES: &[(&str, Wrong)] = &[
    ("R01", Wrong::LosesEndpoints),
    ("R01", Wrong::LosesMetadata),
    ("R01", Wrong::LosesNodeMetadata),
    ("R01", Wrong::ShowsOwnLate),
    ("R02", Wrong::MissingIsAnError),
    ("R02", Wrong::FindsByPrefix),
    ("R03", Wrong::FindsOneNode),
    ("R04", Wrong::MixesVersions),
    ("R05", Wrong::DoublesNodes),
    ("R05", Wrong::KeepsTheFirst),
    ("R05", Wrong::KeepsOldVersions),
    ("R06", Wrong::StaysAfterDeregister),
    ("R06", Wrong::TakesAllAway),
    ("R06", Wrong::MissingGoneIsAnError),
    ("R07", Wrong::NeverExpires),
    ("R07", Wrong::ExpiresEarly),
    ("R07", Wrong::ExpiresAll),
    ("R08", Wrong::HeartBeatsDoNothing),
    ("R08", Wrong::HeartBeatsAreChanges),
    ("R09", Wrong::ListsUnsorted),
    ("R09", Wrong::ListsTwice),
    ("R09", Wrong::ListsTheGone),
    ("R10", Wrong::FirstStateIsEmpty),
    ("R10", Wrong::FirstStateIsLeftOut),
    ("R10", Wrong::RepeatsTheState),
    ("R10", Wrong::WatchesWithoutVersions),
    ("R11", Wrong::UpdatesAreCreations),
    ("R11", Wrong::ForgetsUpdates),
    ("R11", Wrong::TellsEverythingAgain),
    ("R11", Wrong::DeletesAreSilent),
    ("R12", Wrong::WatchesByPrefix),
    ("R13", Wrong::OneWatchHears),
    ("R13", Wrong::EverythingIsSilent),
    ("R14", Wrong::DroppingEndsAll),
    ("R14", Wrong::RunsOutOfWatches),
    ("R14", Wrong::LosesWhatIsGivenUp),
    ("R15", Wrong::ExpiryIsSilent),
    ("R15", Wrong::ExpiresAll),
    ("R16", Wrong::LosesOneOfMany),
    ("R17", Wrong::RefusesAfterAnOutage),
    ("R17", Wrong::ForgetsAfterARestart),
    ("R18", Wrong::HangsWhenAway),
    ("R18", Wrong::IsEmptyWhenAway),
    ("R20", Wrong::KilledStay),
    ("R20", Wrong::KilledTakeAllAlong),
    ("R21", Wrong::CutsMetadata),
    ("R21", Wrong::ReducesToAscii),
    ("R21", Wrong::RefusesWithoutAKind),
    ("R21", Wrong::KeepsTheRefused),
    ("R22", Wrong::DebugShowsThePassword),
    ("R22", Wrong::AddressShowsThePassword),
    ("R22", Wrong::ErrorsShowThePassword),
    ("R22", Wrong::AnswersWhereNobodyIs),
    ("R23", Wrong::DomainsAreOne),
    ("R24", Wrong::LosesWhatChanges),
    ("R24", Wrong::ResumesEmpty),
    ("R25", Wrong::ZeroIsForever),
    ("R25", Wrong::ZeroIsAtOnce),
    ("R25", Wrong::ZeroIsRefusedWithoutAKind),
    ("R26", Wrong::TakesTheNameless),
    ("R26", Wrong::TakesTheNodeless),
    ("R26", Wrong::TakesTheIdless),
    ("R26", Wrong::KeepsTheGoodHalf),
    ("R27", Wrong::DeregistersAnyVersion),
    ("R28", Wrong::DroppedTakeAllAlong),
    ("R28", Wrong::DroppedStay),
    ("R29", Wrong::LosesOneOfManyChanges),
    ("R29", Wrong::KeepsEveryChange),
    ("R30", Wrong::KeepsTheFirst),
    ("R30", Wrong::DoublesNodes),
];

#[derive(Debug)]
struct BrokenWorld(Broken);

impl Fixture for BrokenWorld {
    fn name(&self) -> &'static str {
        "registry-broken"
    }

    fn client(&self) -> Arc<dyn Registry> {
        Arc::new(self.0.client())
    }

    fn apart(&self) -> Arc<dyn Registry> {
        match self.0.wrong {
            Wrong::DomainsAreOne => self.client(),
            wrong => Arc::new(Broken::new(wrong)),
        }
    }

    fn nobody(&self) -> Option<Arc<dyn Registry>> {
        Some(Arc::new(Nobody(self.0.wrong)))
    }

    fn process(&self) -> Option<Box<dyn Process>> {
        Some(Box::new(Task::new(self.0.clone())))
    }

    fn outage(&self) -> Option<Arc<dyn Outage>> {
        Some(Arc::new(Away::broken(self.0.wrong)))
    }

    /// What is broken mostly shows by something that does not come.
    fn limits(&self) -> Limits {
        Limits::default().present(Duration::from_millis(1500)).absent(Duration::from_millis(150))
    }

    fn ttl(&self) -> Duration {
        Duration::from_millis(500)
    }
}

fn case(id: &str) -> &'static Case {
    cases().find(|case| case.id == id).unwrap_or_else(|| panic!("a double breaks {id}, which is no case"))
}

#[test]
fn every_registry_case_catches_its_doubles() {
    // One of them, to try it: MICRO_CASE=R11.
    let only = std::env::var("MICRO_CASE").ok();
    let uncaught: Vec<_> = std::thread::scope(|scope| {
        let chosen = DOUBLES.iter().filter(|(id, _)| only.as_ref().is_none_or(|only| id == only));
        // Most of the time is waiting.
        let runs: Vec<_> = chosen
            .map(|(id, wrong)| {
                let fixture: Arc<dyn Fixture> = Arc::new(BrokenWorld(Broken::new(*wrong)));
                (id, wrong, scope.spawn(move || check(case(id), &fixture)))
            })
            .collect();
        let done = runs.into_iter().map(|(id, wrong, run)| (id, wrong, run.join().unwrap()));
        done.filter(|(_, _, outcome)| !matches!(outcome, Outcome::Failed(_))).collect()
    });
    assert!(uncaught.is_empty(), "{uncaught:#?}");
}

/// What the doubles stand on is not what they are caught by.
#[test]
fn what_breaks_another_rule_passes() {
    let broken: Vec<_> = std::thread::scope(|scope| {
        let runs = ["R17", "R18", "R20", "R22", "R24", "R25", "R26", "R27", "R28", "R29", "R30"].map(|id| {
            let fixture: Arc<dyn Fixture> = Arc::new(BrokenWorld(Broken::new(Wrong::ListsTwice)));
            (id, scope.spawn(move || check(case(id), &fixture)))
        });
        runs.into_iter().map(|(id, run)| (id, run.join().unwrap())).filter(|(_, run)| *run != Outcome::Run).collect()
    });
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_registry_case_has_a_double() {
    let broken: BTreeSet<_> = DOUBLES.iter().map(|(id, _)| *id).collect();
    let cases: BTreeSet<_> = cases().map(|case| case.id).collect();
    assert_eq!(cases, broken);
}
