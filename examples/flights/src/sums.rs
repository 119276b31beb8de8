//! Adding up.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::proto::{Flight, Leg, ReportResponse, Total};

/// Totals by carrier.
pub(crate) type Totals = HashMap<String, Total>;

/// Adds one flight to the totals.
pub(crate) fn add(totals: &mut Totals, carrier: &str, distance: u32, delay: Option<i32>) {
    if !totals.contains_key(carrier) {
        totals.insert(carrier.to_owned(), Total::default());
    }
    let Some(total) = totals.get_mut(carrier) else { return };
    total.flights += 1;
    total.miles += u64::from(distance);
    if let Some(minutes) = delay {
        total.delayed += 1;
        total.delay_minutes += i64::from(minutes);
    }
}

/// The totals computed straight from the table.
pub(crate) fn of_table(flights: &[Flight]) -> Totals {
    let mut totals = Totals::new();
    for flight in flights {
        add(&mut totals, &flight.carrier, flight.distance, flight.arrival_delay);
    }
    totals
}

/// What the results say so far.
#[derive(Default)]
pub(crate) struct Sums {
    /// Who was first with a flight, by event id.
    first: HashMap<Vec<u8>, Arc<str>>,
    taken_over: HashSet<Vec<u8>>,
    /// The place in the table's order of the last flight heard of, by tail number.
    last: HashMap<String, (String, u32)>,
    report: ReportResponse,
}

impl Sums {
    /// Takes one result. One that came before, of the same event id, is not added again.
    pub(crate) fn take(&mut self, leg: Leg) {
        self.report.results += 1;
        if let Some(first) = self.first.get(&leg.event_id) {
            if **first != *leg.consumer && self.taken_over.insert(leg.event_id) {
                *self.report.taken_over.entry(first.to_string()).or_default() += 1;
            }
            return;
        }
        self.first.insert(leg.event_id, leg.consumer.as_str().into());
        self.report.distinct += 1;
        add(&mut self.report.totals, &leg.carrier, leg.distance, leg.delay);
        *self.report.consumers.entry(leg.consumer).or_default() += 1;
        if let Some(tail_number) = leg.tail_number {
            let place = (leg.time_hour, leg.row);
            match self.last.get_mut(&tail_number) {
                Some(last) if *last > place => self.report.out_of_order += 1,
                Some(last) => *last = place,
                None => drop(self.last.insert(tail_number, place)),
            }
        }
    }

    pub(crate) fn report(&self) -> ReportResponse {
        self.report.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leg(id: u8, row: u32, consumer: &str) -> Leg {
        Leg {
            event_id: vec![id],
            carrier: "UA".to_owned(),
            distance: 100,
            delay: Some(-5),
            row,
            tail_number: Some("N1".to_owned()),
            consumer: consumer.to_owned(),
            ..Leg::default()
        }
    }

    #[test]
    fn a_flight_that_came_twice_counts_once_and_for_whoever_was_first() {
        let mut sums = Sums::default();
        for (id, row, consumer) in [(1, 1, "a"), (2, 2, "a"), (2, 2, "b"), (2, 2, "b")] {
            sums.take(leg(id, row, consumer));
        }
        let report = sums.report();
        assert_eq!((report.results, report.distinct, report.out_of_order), (4, 2, 0));
        assert_eq!((report.taken_over["a"], report.taken_over.get("b")), (1, None));
        assert_eq!((report.totals["UA"].miles, report.totals["UA"].delay_minutes), (200, -10));
        assert_eq!((report.consumers["a"], report.consumers.get("b")), (2, None));
    }

    #[test]
    fn a_flight_after_a_later_one_of_its_tail_number_is_out_of_order() {
        let mut sums = Sums::default();
        for (id, row) in [(1, 1), (3, 3), (2, 2)] {
            sums.take(leg(id, row, "a"));
        }
        assert_eq!(sums.report().out_of_order, 1);
    }

    #[test]
    fn a_missing_delay_is_not_a_delay_of_zero() {
        let mut totals = Totals::new();
        add(&mut totals, "UA", 10, None);
        add(&mut totals, "UA", 10, Some(0));
        assert_eq!((totals["UA"].flights, totals["UA"].delayed), (2, 1));
    }
}
