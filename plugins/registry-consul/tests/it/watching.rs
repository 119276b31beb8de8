//! Watches whose questions wait long.

use std::time::Duration;

use micro_core::registry::Change;
use micro_faults::Consul as Server;
use tokio::time::timeout;

use super::{finds, greeter, next, registry};

const TTL: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_watch_lives_longer_than_one_question() {
    let server = Server::start().unwrap();
    let registry = registry(&format!("consul://{}?wait_ms=200", server.address()));
    for watched in [Some("greeter"), None] {
        let mut watch = registry.watch(watched).await.unwrap();
        assert!(matches!(next(&mut watch).await.unwrap(), Change::State(_)));
        assert!(timeout(Duration::from_secs(2), watch.next()).await.is_err(), "nothing changed");
        registry.register(&greeter(1), TTL).await.unwrap();
        assert_eq!(next(&mut watch).await.unwrap(), Change::Create(greeter(1)));
        registry.deregister(&greeter(1)).await.unwrap();
        assert_eq!(next(&mut watch).await.unwrap(), Change::Delete(greeter(1)));
    }
}

#[tokio::test]
async fn who_listens_late_hears_what_is_different_by_then() {
    let server = Server::start().unwrap();
    let registry = registry(&server.address());
    let mut watch = registry.watch(Some("greeter")).await.unwrap();
    assert_eq!(next(&mut watch).await.unwrap(), Change::State(Vec::new()));
    for number in 1..=5 {
        registry.register(&greeter(number), TTL).await.unwrap();
    }
    for number in 1..=4 {
        registry.deregister(&greeter(number)).await.unwrap();
    }
    finds(&registry, &[greeter(5)]).await;
    assert_eq!(next(&mut watch).await.unwrap(), Change::Create(greeter(5)));
    assert!(timeout(Duration::from_millis(300), watch.next()).await.is_err(), "nothing else changed");
}

#[tokio::test]
async fn a_watch_of_everything_hears_of_an_address_and_of_a_check() {
    let server = Server::start().unwrap();
    let registry = registry(&server.address());
    registry.register(&greeter(1), TTL).await.unwrap();
    let mut watch = registry.watch(None).await.unwrap();
    assert!(matches!(next(&mut watch).await.unwrap(), Change::State(_)));
    let mut moved = greeter(1);
    moved.nodes[0].address = "127.0.0.1:9".to_owned();
    registry.register(&moved, TTL).await.unwrap();
    assert_eq!(next(&mut watch).await.unwrap(), Change::Update(moved.clone()));
    registry.register(&moved, Duration::from_secs(2)).await.unwrap();
    assert_eq!(next(&mut watch).await.unwrap(), Change::Delete(moved.clone()));
    registry.register(&moved, TTL).await.unwrap();
    assert_eq!(next(&mut watch).await.unwrap(), Change::Create(moved));
}
