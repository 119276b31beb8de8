//! What must hold at the end.

use micro::{Error, Kind, Result};

use crate::proto::{Flight, ReportResponse};
use crate::sums;

/// The least share of a consumer, in percent.
const LEAST_SHARE: u64 = 10;

/// Compares the report with the table. All that is wrong is in the error.
pub(crate) fn check(report: &ReportResponse, flights: &[Flight], consumers: &[&str], killed: &str) -> Result<()> {
    let mut wrong = Vec::new();
    let mut rule = |holds: bool, text: String| {
        println!("  {} {text}", if holds { "ok   " } else { "WRONG" });
        if !holds {
            wrong.push(text);
        }
    };

    let expected = sums::of_table(flights);
    let different: Vec<_> =
        expected.iter().filter(|(carrier, total)| report.totals.get(*carrier) != Some(total)).collect();
    rule(
        different.is_empty() && report.totals.len() == expected.len(),
        format!("the totals of {} carriers equal those of the table{}", expected.len(), list(&different)),
    );
    rule(
        report.distinct == flights.len() as u64,
        format!("{} of {} flights were summed", report.distinct, flights.len()),
    );
    rule(
        report.out_of_order == 0,
        format!("{} flights came after a later one of their tail number", report.out_of_order),
    );
    let again = report.taken_over.get(killed).copied().unwrap_or(0);
    rule(again > 0, format!("{again} flights that {killed} had published but not settled came to another consumer"));
    for consumer in consumers {
        let share = report.consumers.get(*consumer).copied().unwrap_or(0);
        let percent = share * 100 / flights.len().max(1) as u64;
        rule(percent >= LEAST_SHARE, format!("consumer {consumer} took {share} flights, {percent} %"));
    }

    match wrong.is_empty() {
        true => Ok(()),
        false => Err(Error::new(Kind::Internal, format!("the check failed: {}", wrong.join("; ")))),
    }
}

fn list(different: &[(&String, &crate::proto::Total)]) -> String {
    let carriers: Vec<_> = different.iter().map(|(carrier, _)| carrier.as_str()).collect();
    if carriers.is_empty() { String::new() } else { format!(", but for {}", carriers.join(" ")) }
}
