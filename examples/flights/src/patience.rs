//! Waiting for what will surely happen, but not for ever.

use std::time::{Duration, Instant};

use micro::Result;

/// Tries until it succeeds; gives the last error after the limit.
pub(crate) async fn patiently<T>(limit: Duration, mut attempt: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        match attempt().await {
            Err(_) if Instant::now() < end => tokio::time::sleep(Duration::from_millis(50)).await,
            result => return result,
        }
    }
}
