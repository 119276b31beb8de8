//! go-micro's `Debug` endpoints: Log, Health, Stats, Trace, Cache. Every service has them; they are not advertised.

mod endpoints;
mod messages;
mod payload;
mod process;

pub(crate) use endpoints::Debug;
