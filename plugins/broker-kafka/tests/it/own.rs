//! Servers of a test's own, to be killed.

use micro_faults::kafka::{Kafka, Setup};

/// A cluster whose control, which blocks, runs beside the test.
#[derive(Clone)]
pub(crate) struct Cluster(std::sync::Arc<Kafka>);

impl Cluster {
    pub(crate) async fn start(nodes: usize) -> Self {
        let started = tokio::task::spawn_blocking(move || Kafka::start(&Setup::new().nodes(nodes)));
        Self(std::sync::Arc::new(started.await.unwrap().unwrap_or_else(|error| panic!("{error}"))))
    }

    pub(crate) fn address(&self, parameters: &str) -> String {
        format!("kafka://{}?{parameters}", self.0.bootstrap())
    }

    pub(crate) fn kill(&self, node: usize) {
        self.0.kill(node);
    }

    pub(crate) fn pause(&self, node: usize) {
        self.0.pause(node).unwrap();
    }

    pub(crate) fn resume(&self, node: usize) {
        self.0.resume(node).unwrap();
    }

    pub(crate) async fn restart(&self, node: usize) {
        let cluster = std::sync::Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || cluster.restart(node))
            .await
            .unwrap()
            .unwrap_or_else(|error| panic!("{error}"));
    }
}
