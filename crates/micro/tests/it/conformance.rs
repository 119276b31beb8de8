//! The broker's contract, case by case, on a broker as a program's own setting chooses it: memory, unless
//! `MICRO_TEST_BROKER` holds an address, as `kafka://127.0.0.1:9092?replication=1`.

use std::sync::Arc;
use std::time::Duration;

use micro::Service;
use micro::broker::Broker;
use micro_conformance::broker::{Fixture, Limits};

#[derive(Debug)]
struct Chosen(Option<String>);

impl Chosen {
    fn by_environment() -> Self {
        Self(std::env::var("MICRO_TEST_BROKER").ok().filter(|address| !address.is_empty()))
    }
}

impl Fixture for Chosen {
    fn name(&self) -> &'static str {
        if self.0.is_some() { "chosen" } else { "facade" }
    }

    fn client(&self) -> Arc<dyn Broker> {
        let address = self.0.as_deref().unwrap_or("memory");
        Service::builder("conformance").args(false).registry("memory").broker(address).build().unwrap().broker()
    }

    /// A server may be far, and busy.
    fn limits(&self) -> Limits {
        match self.0 {
            None => Limits::default(),
            Some(_) => Limits::default().present(Duration::from_secs(45)).absent(Duration::from_millis(700)),
        }
    }
}

micro_conformance::broker_cases!(Chosen::by_environment());
