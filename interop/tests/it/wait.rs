use std::time::{Duration, Instant};

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begin = Instant::now();
    while !holds().await {
        assert!(begin.elapsed() < Duration::from_secs(60), "waited 60 s: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A service name that no other test has, and short enough for a DNS label with a uuid behind it.
pub(crate) fn fresh(name: &str) -> String {
    let uuid = uuid::Uuid::new_v4().simple().to_string();
    format!("{name}-{}", &uuid[..8])
}
