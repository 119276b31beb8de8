//! `/metrics`, `/live` and `/ready` over HTTP, on a port that is opened only when asked for.

mod http;
mod metrics;
mod ready;

pub(crate) use http::Probe;
pub(crate) use ready::Ready;

/// Sets the process's metrics recorder, unless the program has set one.
pub(crate) fn record_metrics() {
    metrics::Metrics::of_process();
}
