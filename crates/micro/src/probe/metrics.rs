//! The process's Prometheus recorder, set only where somebody will read it: without one a counter costs nearly nothing.

use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// Upper ends of the histograms of durations, in seconds.
const SECONDS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];

/// How often what histograms have collected is folded up, so that it does not grow while nobody reads.
const UPKEEP: Duration = Duration::from_secs(5);

/// The text at `/metrics`, or why there is none.
#[derive(Clone)]
pub(super) struct Metrics(Option<PrometheusHandle>);

impl Metrics {
    /// Sets the process's recorder once; a program that has set its own keeps it.
    pub(super) fn of_process() -> Self {
        static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
        let install = || PrometheusBuilder::new().set_buckets(&SECONDS).ok()?.install_recorder().ok();
        Self(HANDLE.get_or_init(install).clone())
    }

    /// Returns the text of a scrape.
    pub(super) fn text(&self) -> Result<String, &'static str> {
        self.0
            .as_ref()
            .map(PrometheusHandle::render)
            .ok_or("this program has set a metrics recorder of its own; ask that one\n")
    }

    /// Folds up from time to time, until dropped.
    pub(super) async fn keep_up(self) {
        loop {
            tokio::time::sleep(UPKEEP).await;
            if let Some(handle) = &self.0 {
                handle.run_upkeep();
            }
        }
    }
}
