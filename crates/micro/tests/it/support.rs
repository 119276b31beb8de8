//! Services that hear each other within this process only, under names of their own.

use std::time::{Duration, Instant};

use micro::{Service, ServiceBuilder};

/// Generous: the machine may be busy with other tests.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// Returns a name that no other test has.
pub(crate) fn unique(begin: &str) -> String {
    format!("{begin}-{}", uuid::Uuid::new_v4().simple())
}

/// Starts to make a service on the memory plugins, deaf to the test runner's command line.
pub(crate) fn service(name: &str) -> ServiceBuilder {
    Service::builder(name).args(false).address("127.0.0.1:0").registry("memory").broker("memory")
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !so().await {
        assert!(began.elapsed() < LIMIT, "waited {LIMIT:?} in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
