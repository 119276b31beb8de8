mod cache;
mod flaky;
mod memory;
mod multi;
mod nonsense;

use std::time::Duration;

use micro_core::registry::{Change, Node, Service, Watch};

pub(crate) const LIMIT: Duration = Duration::from_secs(15);
pub(crate) const TTL: Duration = Duration::from_secs(60);

pub(crate) fn service(name: &str, version: &str, id: &str) -> Service {
    Service::new(name, version).node(Node::new(id, "127.0.0.1:80"))
}

pub(crate) async fn next(watch: &mut Box<dyn Watch>) -> Change {
    tokio::time::timeout(LIMIT, watch.next()).await.expect("a change must come").unwrap()
}

pub(crate) async fn silent(watch: &mut Box<dyn Watch>) {
    let answer = tokio::time::timeout(Duration::from_millis(300), watch.next()).await;
    assert!(answer.is_err(), "nothing may come, but there was {answer:?}");
}

/// Waits until a condition holds.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    tokio::time::timeout(LIMIT, async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("in vain: {what}"));
}

pub(crate) fn ids(services: &[Service]) -> Vec<String> {
    services.iter().flat_map(|service| &service.nodes).map(|node| node.id.clone()).collect()
}
