//! What the tests of a plugin do again and again beside the suite: records, watches, and waiting with a limit.

use std::time::Duration;

use micro_core::Error;
use micro_core::registry::{Change, Node, Registry, Service, Watch};
use tokio::time::{Instant, sleep, timeout};

/// A time to live that no test waits out.
pub const LONG: Duration = Duration::from_secs(600);

/// How long anything may take.
pub const LIMIT: Duration = Duration::from_secs(20);

/// One node of the service greeter.
#[must_use]
pub fn greeter(version: &str, id: &str) -> Service {
    Service::new("greeter", version).node(Node::new(id, "127.0.0.1:37903").with("protocol", "grpc"))
}

/// Begins a watch, and returns it with the first state.
///
/// # Panics
///
/// If it cannot begin, or begins with anything else.
pub async fn watch(registry: &dyn Registry, service: Option<&str>) -> (Box<dyn Watch>, Vec<Service>) {
    let mut watch = registry.watch(service).await.expect("a watch begins");
    match next(&mut watch).await {
        Change::State(state) => (watch, state),
        other => panic!("a watch begins with {other:?}"),
    }
}

/// Waits for the next change.
///
/// # Panics
///
/// If there is none within [`LIMIT`], or the watch ended.
pub async fn next(watch: &mut Box<dyn Watch>) -> Change {
    timeout(LIMIT, watch.next()).await.expect("a change in time").expect("a change, not the end")
}

/// Waits for the end of a watch.
///
/// # Panics
///
/// If it does not end within [`LIMIT`].
pub async fn end(watch: &mut Box<dyn Watch>) -> Error {
    timeout(LIMIT, watch.next()).await.expect("an end in time").expect_err("an end, not a change")
}

/// Waits until a client finds these records of greeter.
///
/// # Panics
///
/// If it does not within [`LIMIT`].
pub async fn finds(registry: &dyn Registry, expected: &[Service]) {
    let until = Instant::now() + LIMIT;
    loop {
        let found = registry.get("greeter").await;
        if found.as_ref().is_ok_and(|found| found == expected) {
            return;
        }
        assert!(Instant::now() < until, "{found:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Makes every call, of which each must fail, and returns the errors.
///
/// # Panics
///
/// If one succeeds.
pub async fn every_error(registry: &dyn Registry) -> [Error; 5] {
    [
        registry.register(&greeter("1", "a"), LONG).await.expect_err("registering fails"),
        registry.deregister(&greeter("1", "a")).await.expect_err("deregistering fails"),
        registry.get("greeter").await.expect_err("getting fails"),
        registry.list().await.expect_err("listing fails"),
        registry.watch(None).await.expect_err("watching fails"),
    ]
}
