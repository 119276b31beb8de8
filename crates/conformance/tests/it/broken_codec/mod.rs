//! The broken codecs: each breaks the rule of one case, and the case must catch it.

mod codec;

use std::collections::BTreeSet;
use std::sync::Arc;

use micro_conformance::Outcome;
use micro_conformance::codec::{Case, Fixture, cases, check};

use codec::{Broken, Wrong};

/// The case that must catch it, and what is done wrong.
const DOUBLES: &[(&str, Wrong)] = &[
    ("K01", Wrong::LosesTheSignOfZero),
    ("K01", Wrong::RoundsWideNumbers),
    ("K01", Wrong::CutsTextAtZero),
    ("K01", Wrong::ReplacesWhatIsNoText),
    ("K01", Wrong::EmptyInnerIsNone),
    ("K01", Wrong::LosesEmptyOnesInLists),
    ("K01", Wrong::NeverWritesTheSameTwice),
    ("K02", Wrong::KeepsButSaysIgnored),
    ("K02", Wrong::IgnoresButSaysKept),
    ("K02", Wrong::RefusesTheUnknown),
    ("K02", Wrong::RefusesWithoutAName),
    ("K02", Wrong::IgnoresButSaysRefused),
    ("K02", Wrong::ReadsTheUnknownAsKnown),
    ("K03", Wrong::WritesAnotherContentType),
    ("K03", Wrong::ReadsAnyContentType),
    ("K03", Wrong::ReadsOneContentTypeOnly),
    ("K03", Wrong::MindsTheCase),
    ("K03", Wrong::RefusesContentTypesAsDecode),
    ("K04", Wrong::PanicsAtTheEnd),
    ("K04", Wrong::ReadsWhatIsThere),
    ("K04", Wrong::RefusesAsInternal),
    ("K05", Wrong::PanicsAtSomeBytes),
    ("K05", Wrong::AllocatesByTheFirstByte),
    ("K05", Wrong::RefusesAsInternal),
    ("K06", Wrong::ReadsThirtyLevels),
    ("K06", Wrong::RefusesUnknownLevels),
    ("K06", Wrong::ReadsAnyDepth),
    ("K06", Wrong::AllocatesWhatIsAnnounced),
    ("K06", Wrong::ReadsWhatIsThere),
];

fn case(id: &str) -> &'static Case {
    cases().find(|case| case.id == id).unwrap_or_else(|| panic!("a double breaks {id}, which is no case"))
}

#[test]
fn every_codec_case_catches_its_doubles() {
    // One of them, to try it: MICRO_CASE=K04.
    let only = std::env::var("MICRO_CASE").ok();
    let chosen = DOUBLES.iter().filter(|(id, _)| only.as_ref().is_none_or(|only| id == only));
    let uncaught: Vec<_> = chosen
        .map(|(id, wrong)| {
            let fixture: Arc<dyn Fixture> = Arc::new(Broken::new(*wrong));
            (id, wrong, check(case(id), &fixture))
        })
        .filter(|(_, _, outcome)| !matches!(outcome, Outcome::Failed(_)))
        .collect();
    assert!(uncaught.is_empty(), "{uncaught:#?}");
}

/// A codec that only lacks fields is none of them: it is gated, and what it refuses is seen.
#[test]
fn a_codec_that_cuts_a_value_to_its_bytes_is_no_codec_of_bytes() {
    let fixture: Arc<dyn Fixture> = Arc::new(Broken::new(Wrong::CutsToItsBytes));
    for id in ["K02", "K04", "K06"] {
        let outcome = check(case(id), &fixture);
        assert!(matches!(outcome, Outcome::Failed(_)), "{id}: {outcome}");
    }
}

#[test]
fn a_program_that_does_not_count_is_told_so() {
    let fixture: Arc<dyn Fixture> = Arc::new(Broken::new(Wrong::DoesNotCount));
    for id in ["K05", "K06"] {
        assert_eq!(check(case(id), &fixture), Outcome::Gated("no count of allocations"), "{id}");
    }
}

#[test]
fn every_codec_case_has_a_double() {
    let broken: BTreeSet<_> = DOUBLES.iter().map(|(id, _)| *id).collect();
    let cases: BTreeSet<_> = cases().map(|case| case.id).collect();
    assert_eq!(cases, broken);
}
