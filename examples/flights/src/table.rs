//! The table, as events in the order they are published.

use micro::{Error, Kind, Result};
use serde::Deserialize;

use crate::proto::Flight;

/// How many flights the table has.
pub(crate) const FLIGHTS: usize = 336_776;

#[derive(Deserialize)]
struct Row<'a> {
    dep_delay: &'a str,
    arr_delay: &'a str,
    carrier: &'a str,
    flight: u32,
    tailnum: &'a str,
    origin: &'a str,
    dest: &'a str,
    distance: u32,
    time_hour: &'a str,
}

/// Reads the table: ordered by hour, and within an hour as the rows stand.
pub(crate) fn read() -> Result<Vec<Flight>> {
    let flights = parse(&crate::data::read()?)?;
    if flights.len() != FLIGHTS {
        let found = flights.len();
        return Err(Error::new(
            Kind::Corrupt,
            format!("the table has {found} flights, not {FLIGHTS}; is it the whole one?"),
        ));
    }
    Ok(flights)
}

fn parse(text: &[u8]) -> Result<Vec<Flight>> {
    let mut reader = csv::Reader::from_reader(text);
    let bad = |error: csv::Error| Error::new(Kind::Corrupt, "the table of flights is not as expected").source(error);
    let headers = reader.headers().map_err(bad)?.clone();
    let mut record = csv::StringRecord::new();
    let mut flights = Vec::with_capacity(FLIGHTS);
    while reader.read_record(&mut record).map_err(bad)? {
        let row: Row<'_> = record.deserialize(Some(&headers)).map_err(bad)?;
        let number = u32::try_from(flights.len() + 1).map_err(|_| Error::new(Kind::TooLarge, "too many flights"))?;
        flights.push(flight(number, &row)?);
    }
    // ISO dates sort as text. The sort is stable: rows of one hour keep their order.
    flights.sort_by(|one, other| one.time_hour.cmp(&other.time_hour));
    Ok(flights)
}

fn flight(number: u32, row: &Row<'_>) -> Result<Flight> {
    Ok(Flight {
        row: number,
        carrier: row.carrier.to_owned(),
        number: row.flight,
        tail_number: present(row.tailnum).map(str::to_owned),
        origin: row.origin.to_owned(),
        destination: row.dest.to_owned(),
        departure_delay: minutes(number, row.dep_delay)?,
        arrival_delay: minutes(number, row.arr_delay)?,
        distance: row.distance,
        time_hour: row.time_hour.to_owned(),
    })
}

/// The table leaves a missing value empty, or writes NA.
fn present(text: &str) -> Option<&str> {
    (!text.is_empty() && text != "NA").then_some(text)
}

fn minutes(row: u32, text: &str) -> Result<Option<i32>> {
    let parse = |text: &str| {
        text.parse::<f64>().map_err(|_| Error::new(Kind::Corrupt, format!("row {row} has a delay of {text:?}")))
    };
    // Whole minutes, but some copies of the table write them as 2.0.
    #[expect(clippy::cast_possible_truncation, reason = "minutes of a delay")]
    present(text).map(parse).transpose().map(|minutes| minutes.map(|minutes| minutes as i32))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,tailnum,origin,dest,air_time,distance,hour,minute,time_hour";

    #[test]
    fn a_missing_delay_is_absent_and_not_zero() {
        let text = format!(
            "{HEAD}\n2013,1,1,517,515,0,830,819,-11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z\n\
             2013,1,2,,1545,,,1910,,AA,133,,JFK,LAX,,2475,15,45,2013-01-02T20:00:00Z\n"
        );
        let flights = parse(text.as_bytes()).unwrap();
        assert_eq!((flights[0].departure_delay, flights[0].arrival_delay), (Some(0), Some(-11)));
        assert_eq!((flights[1].departure_delay, flights[1].arrival_delay), (None, None));
        assert_eq!((flights[0].tail_number.as_deref(), flights[1].tail_number.as_deref()), (Some("N14228"), None));
    }

    #[test]
    fn flights_are_in_order_of_hour_and_then_of_row() {
        let line = |number: u32, hour: &str| format!("2013,1,1,1,1,1,1,1,1,UA,{number},N1,EWR,IAH,1,1,5,15,{hour}\n");
        let text = format!(
            "{HEAD}\n{}{}{}",
            line(1, "2013-01-01T11:00:00Z"),
            line(2, "2013-01-01T10:00:00Z"),
            line(3, "2013-01-01T10:00:00Z")
        );
        let rows: Vec<_> = parse(text.as_bytes()).unwrap().iter().map(|flight| flight.row).collect();
        assert_eq!(rows, [2, 3, 1]);
    }
}
