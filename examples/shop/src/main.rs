//! The shop's program.
//!
//! Without arguments it starts both, places orders, kills each in the middle, and shows that no order is lost.
#![allow(clippy::print_stdout, reason = "what it prints is what it is for")]

mod child;
mod customer;
mod demo;
mod patience;

use std::process::ExitCode;

use micro::{Error, Kind, Result};
use shop::{order, warehouse};

const USAGE: &str = "usage: shop                     start everything, place orders, kill services, show what happened
       shop order              run the order service
       shop warehouse          run the warehouse
       shop place ITEM [COUNT] place an order
       shop status ORDER       ask how far an order is
       (any of them --help for the flags of a service)
With --broker kafka --broker_address HOST:PORT behind any of them, all of it goes by Kafka, if the program
was built with --features kafka.";

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shop: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("order") => order::run().await,
        Some("warehouse") => warehouse::run().await,
        Some("place") => customer::place().await,
        Some("status") => customer::status().await,
        Some("help" | "--help" | "-h") => {
            println!("{USAGE}");
            Ok(())
        }
        None => demo::run().await,
        Some(flag) if flag.starts_with("--") => demo::run().await,
        Some(other) => Err(Error::new(Kind::InvalidArgument, format!("there is no command {other:?}\n{USAGE}"))),
    }
}
