//! What is in ZooKeeper, as its own client shows it, and what others put there.

use std::time::Duration;

use micro_core::Kind;
use micro_core::registry::{Change, Node, Registry, Service};
use micro_faults::ZooKeeper as Server;

use crate::client::registry;
use micro_conformance::registry::steps::*;

#[tokio::test]
async fn a_node_is_go_micros_record_under_its_path_and_goes_with_its_client() {
    let server = Server::start().unwrap();
    let one = registry(&format!("zookeeper://{}", server.address()));
    let service = Service::new("a/b", "1").node(Node::new("c/d", "127.0.0.1:1").with("protocol", "grpc"));
    one.register(&service, LONG).await.unwrap();
    let shown = server.cli(&["get", "-s", "/micro-registry/a-b/c-d"]).unwrap();
    let json = shown.lines().find(|line| line.starts_with('{')).unwrap();
    let node = r#"{"id":"c/d","address":"127.0.0.1:1","metadata":{"protocol":"grpc"}}"#;
    let expected = format!(r#"{{"name":"a/b","version":"1","metadata":{{}},"endpoints":[],"nodes":[{node}]}}"#);
    assert_eq!(json, expected);
    let owner = shown.lines().find_map(|line| line.strip_prefix("ephemeralOwner = ")).unwrap();
    assert_ne!(owner, "0x0", "it is ephemeral");
    assert!(server.ask("dump").unwrap().contains(owner));
    let other = registry(&format!("zookeeper://{}", server.address()));
    assert_eq!(other.get("a/b").await.unwrap(), [service]);
    drop(one);
    let until = std::time::Instant::now() + Duration::from_secs(2);
    while !other.get("a/b").await.unwrap().is_empty() {
        assert!(std::time::Instant::now() < until, "a dropped client says farewell");
    }
}

#[tokio::test]
async fn what_go_micro_registered_is_read_and_what_is_no_record_is_left_out() {
    let server = Server::start().unwrap();
    let reads = registry(&format!("zookeeper://{}", server.address()));
    let (mut hears, _) = watch(&reads, None).await;
    let record = r#"{"name":"greeter","version":"1","metadata":null,"endpoints":null,"nodes":[{"id":"a","address":"127.0.0.1:37903","metadata":{"protocol":"grpc"}}]}"#;
    for create in [
        &["create", "/micro-registry", ""][..],
        &["create", "/micro-registry/greeter", ""],
        &["create", "/micro-registry/greeter/bad", "{"],
        &["create", "/micro-registry/greeter/a", record],
    ] {
        server.cli(create).unwrap();
    }
    assert_eq!(next(&mut hears).await, Change::Create(greeter("1", "a")));
    assert_eq!(reads.get("greeter").await.unwrap(), [greeter("1", "a")]);
    assert_eq!(reads.list().await.unwrap(), ["greeter"]);
    // Taken over by who registers the same node, it is one of ours.
    reads.register(&greeter("1", "a"), LONG).await.unwrap();
    reads.register(&greeter("1", "b"), LONG).await.unwrap();
    assert_eq!(next(&mut hears).await, Change::Create(greeter("1", "b")));
    let shown = server.cli(&["stat", "/micro-registry/greeter/a"]).unwrap();
    assert!(!shown.contains("ephemeralOwner = 0x0\n"), "{shown}");
}

#[tokio::test]
async fn a_shorter_time_to_live_opens_a_shorter_session_and_nobody_hears_of_it() {
    let server = Server::start().unwrap();
    let one = registry(&format!("zookeeper://{}", server.address()));
    one.register(&greeter("1", "a"), LONG).await.unwrap();
    let other = registry(&format!("zookeeper://{}", server.address()));
    let (mut hears, state) = watch(&other, Some("greeter")).await;
    assert_eq!(state, [greeter("1", "a")]);
    one.register(&greeter("1", "b"), Duration::from_secs(2)).await.unwrap();
    assert_eq!(next(&mut hears).await, Change::Create(greeter("1", "b")));
    // The first is moved, and no more than the second goes.
    assert_eq!(next(&mut hears).await, Change::Delete(greeter("1", "b")));
    assert_eq!(other.get("greeter").await.unwrap(), [greeter("1", "a")]);
}

#[tokio::test]
async fn what_an_account_made_for_itself_is_for_it_alone() {
    let server = Server::start().unwrap();
    let at = |account: &str| format!("zookeeper://{account}@{}?acl=creator", server.address());
    let good = registry(&at("alice:alice-secret"));
    good.register(&greeter("1", "a"), LONG).await.unwrap();
    assert_eq!(registry(&at("alice:alice-secret")).get("greeter").await.unwrap(), [greeter("1", "a")]);
    for address in [at("alice:wrong-secret"), format!("zookeeper://{}", server.address())] {
        let registry = registry(&address);
        for error in every_error(&registry).await {
            let text = error.to_string();
            assert!(error.kind() == Kind::Forbidden && text.contains("/micro-registry"), "{text}");
            assert!(!format!("{text} {error:?} {registry:?} {}", registry.address()).contains("-secret"), "{text}");
        }
    }
}

#[tokio::test]
async fn what_is_too_large_is_refused_by_its_size() {
    let server = Server::start().unwrap();
    let registry = registry(&format!("zookeeper://{}", server.address()));
    let node = Node::new("a", "127.0.0.1:1").with("huge", "x".repeat(1 << 20));
    let error = registry.register(&Service::new("greeter", "1").node(node), LONG).await.unwrap_err();
    assert!(error.kind() == Kind::TooLarge && error.to_string().contains("1 MiB"), "{error}");
    assert_eq!(registry.get("greeter").await.unwrap(), []);
}
