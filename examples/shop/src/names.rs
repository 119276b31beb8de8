//! What topics and queues are called.

use micro::{Flag, Service};

/// The flag `--run`.
pub fn flag() -> Flag {
    Flag::new("run", "Added to the names of topics and queues, so that runs on one server do not meet")
}

/// `orders.created`; with `--run 7f3a` it is `orders.created.7f3a`.
pub fn named(service: &Service, name: &str) -> String {
    match service.flag("run") {
        Some(run) => format!("{name}.{run}"),
        None => name.to_owned(),
    }
}

/// A word that no other run has.
pub fn fresh_run() -> String {
    format!("{:010x}", fastrand::u64(..1 << 40))
}
