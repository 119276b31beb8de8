//! An agent that dies, forgets, or falls silent.

use std::net::TcpListener;
use std::time::Duration;

use micro_core::Kind;
use micro_core::registry::Change;
use micro_faults::{Consul as Server, Proxy};
use tokio::time::{Instant, sleep};

use super::{LIMIT, finds, greeter, next, registry};

const TTL: Duration = Duration::from_secs(60);

#[tokio::test]
async fn an_agent_that_has_forgotten_everything_is_told_anew() {
    let mut server = Server::start().unwrap();
    let registry = registry(&server.address());
    registry.register(&greeter(1), TTL).await.unwrap();
    server.kill();
    // The first may still use a connection of before.
    registry.register(&greeter(1), TTL).await.unwrap_err();
    let error = registry.register(&greeter(1), TTL).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Refused, "{error}");
    assert!(error.to_string().contains(&server.address()) && error.to_string().contains("running"), "{error}");
    server.restart().unwrap();
    assert_eq!(registry.get("greeter").await.unwrap(), []);
    registry.register(&greeter(1), TTL).await.unwrap();
    finds(&registry, &[greeter(1)]).await;
}

#[tokio::test]
async fn a_time_to_live_that_changed_is_the_one_that_counts() {
    let server = Server::start().unwrap();
    let registry = registry(&server.address());
    registry.register(&greeter(1), Duration::from_secs(2)).await.unwrap();
    registry.register(&greeter(1), TTL).await.unwrap();
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until {
        assert_eq!(registry.get("greeter").await.unwrap(), [greeter(1)]);
        sleep(Duration::from_millis(100)).await;
    }
    registry.register(&greeter(1), Duration::from_secs(2)).await.unwrap();
    finds(&registry, &[]).await;
}

#[tokio::test]
async fn a_node_that_registers_too_late_is_found_again() {
    let server = Server::start().unwrap();
    let registry = registry(&server.address());
    // A check that failed does not pass by itself, whether the record is the same or another.
    let (same, short) = (greeter(1), Duration::from_secs(2));
    let mut moved = greeter(1);
    moved.nodes[0].address = "127.0.0.1:9".to_owned();
    registry.register(&same, short).await.unwrap();
    for (again, ttl) in [(&same, short), (&same, TTL), (&same, short), (&moved, TTL)] {
        finds(&registry, &[]).await;
        registry.register(again, ttl).await.unwrap();
        assert_eq!(registry.get("greeter").await.unwrap(), std::slice::from_ref(again));
        if ttl == TTL {
            registry.register(again, short).await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_agent_that_falls_silent_is_an_error_in_time_and_a_watch_goes_on_after_it() {
    let mut server = Server::start().unwrap();
    let registry = registry(&format!("consul://{}?timeout_ms=500&wait_ms=60000", server.address()));
    registry.register(&greeter(1), TTL).await.unwrap();
    let mut watch = registry.watch(Some("greeter")).await.unwrap();
    assert_eq!(next(&mut watch).await.unwrap(), Change::State(vec![greeter(1)]));
    assert!(tokio::time::timeout(Duration::from_millis(50), watch.next()).await.is_err(), "nothing changed");
    server.pause();
    for error in [
        registry.get("greeter").await.unwrap_err(),
        registry.register(&greeter(1), TTL).await.unwrap_err(),
        registry.list().await.unwrap_err(),
        registry.watch(None).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), Kind::Timeout, "{error}");
        assert!(error.to_string().contains(&server.address()), "{error}");
    }
    server.resume();
    let until = Instant::now() + LIMIT;
    while registry.register(&greeter(2), TTL).await.is_err() {
        assert!(Instant::now() < until, "the agent goes on");
    }
    assert_eq!(next(&mut watch).await.unwrap(), Change::Create(greeter(2)));
}

#[tokio::test]
async fn a_watch_of_an_agent_that_falls_silent_ends_in_time() {
    let server = Server::start().unwrap();
    let proxy = Proxy::to(server.address()).unwrap();
    let registry = registry(&format!("consul://{}?timeout_ms=500&wait_ms=1000", proxy.address()));
    let mut watch = registry.watch(Some("greeter")).await.unwrap();
    assert_eq!(next(&mut watch).await.unwrap(), Change::State(Vec::new()));
    proxy.half_open();
    let error = next(&mut watch).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout, "{error}");
    assert_eq!(next(&mut watch).await.unwrap_err().detail(), error.detail(), "it has ended");
}

#[tokio::test]
async fn what_is_no_consul_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        for stream in listener.incoming().take(2) {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1024]).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello").unwrap();
        }
    });
    let error = registry(&address).get("greeter").await.unwrap_err();
    assert!(error.to_string().contains("HTTP port"), "{error}");
    // Nobody speaks TLS there either.
    let error = registry(&format!("consuls://{address}")).get("greeter").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
}
