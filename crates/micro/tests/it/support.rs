//! Services that hear each other within this process only, under names of their own.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use micro::{Service, ServiceBuilder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

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

/// Asks over HTTP, and returns the status and the body.
pub(crate) async fn http_get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}
