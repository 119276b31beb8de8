//! What the tests of a plugin do again and again beside the suite: records, watches, and waiting with a limit.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::time::Duration;

use micro_core::registry::{Change, Node, Registry, Service, Watch};
use micro_core::{Error, Kind};
use micro_faults::Server;
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

/// Has a client made of the address of somebody who listens, and asserts that nobody comes.
///
/// # Panics
///
/// If somebody does.
pub fn opens_nothing<R>(make: impl FnOnce(&str) -> R) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    listener.set_nonblocking(true).expect("a listener need not wait");
    let made = make(&listener.local_addr().expect("it listens somewhere").to_string());
    let came = listener.accept().expect_err("making a client connects");
    assert_eq!(came.kind(), ErrorKind::WouldBlock, "{came}");
    drop(made);
}

/// Asserts that a client of `127.0.0.1:1,127.0.0.1:2`, where no server is, says so with each call, and what to do.
///
/// # Panics
///
/// If it does not.
pub async fn misses_its_server(registry: &dyn Registry) {
    for error in every_error(registry).await {
        let text = error.to_string();
        assert_eq!(error.kind(), Kind::Unavailable, "{text}");
        assert!(text.contains("127.0.0.1:1,127.0.0.1:2") && text.contains("does it run"), "{text}");
    }
}

/// Has the server of a client that waits for 1 s stand still, and go on when the client's calls and its watch have failed in
/// time, each with one of these kinds. The node `a` of greeter is registered then.
///
/// # Panics
///
/// If they do not.
pub async fn outlives_a_pause(registry: &dyn Registry, server: &Server, kinds: &[Kind]) {
    registry.register(&greeter("1", "a"), LONG).await.expect("it can register");
    let (mut hears, _) = watch(registry, None).await;
    server.pause();
    let before = Instant::now();
    for error in [
        registry.get("greeter").await.expect_err("getting fails"),
        registry.register(&greeter("1", "b"), LONG).await.expect_err("registering fails"),
        // What it watches already it may know, for as long as it does not know better.
        registry.watch(Some("other")).await.expect_err("watching fails"),
    ] {
        let text = error.to_string();
        assert!(kinds.contains(&error.kind()) && text.contains(&server.address()), "{text}");
        assert!(error.kind() != Kind::Timeout || text.contains("within 1 s"), "{text}");
    }
    assert!(before.elapsed() < Duration::from_millis(4_500), "{:?}", before.elapsed());
    let error = end(&mut hears).await;
    assert!(matches!(error.kind(), Kind::Timeout | Kind::Unavailable), "{error}");
    server.resume();
}

/// Registers the node `b` of greeter again and again, until the server takes it.
///
/// # Panics
///
/// If it does not within [`LIMIT`].
pub async fn registers_again(registry: &dyn Registry) {
    let until = Instant::now() + LIMIT;
    while let Err(error) = registry.register(&greeter("1", "b"), LONG).await {
        assert!(Instant::now() < until, "the server goes on, and yet: {error}");
        sleep(Duration::from_millis(20)).await;
    }
}
