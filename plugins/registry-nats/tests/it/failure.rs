use micro_conformance::registry::steps::*;
use micro_core::Kind;
use micro_core::registry::{Change, Node, Registry, Service};
use micro_faults::{Nats as Server, Proxy};
use micro_registry_nats::Nats;

use crate::client::registry;

#[test]
fn making_one_opens_nothing() {
    opens_nothing(|address| registry(&format!("nats://{address}")));
    let registry = Nats::new().unwrap();
    assert_eq!((registry.name(), registry.address().as_str()), ("nats", "127.0.0.1:4222"));
}

#[tokio::test]
async fn where_no_server_is_every_call_says_so_and_what_to_do() {
    let registry = registry("nats://127.0.0.1:1,127.0.0.1:2?timeout_ms=2000");
    misses_its_server(&registry).await;
}

#[tokio::test]
async fn a_dead_server_is_passed_over() {
    let server = Server::start().unwrap();
    let registry = registry(&format!("nats://127.0.0.1:1,{}", server.address()));
    registry.register(&greeter("1", "a"), LONG).await.unwrap();
    assert_eq!(registry.get("greeter").await.unwrap(), [greeter("1", "a")]);
}

#[tokio::test]
async fn nodes_are_answered_for_again_after_a_restart_without_a_heart_beat() {
    let server = Server::start().unwrap();
    let one = registry(&format!("nats://{}", server.address()));
    one.register(&greeter("1", "a"), LONG).await.unwrap();
    let (mut hears, _) = watch(&one, None).await;
    server.restart().unwrap();
    let other = registry(&format!("nats://{}", server.address()));
    finds(&other, &[greeter("1", "a")]).await;
    let error = end(&mut hears).await;
    assert!(error.kind() == Kind::Unavailable && error.to_string().contains(&server.address()), "{error}");
    let (_, state) = watch(&one, None).await;
    assert_eq!(state, [greeter("1", "a")]);
}

#[tokio::test]
async fn who_was_cut_off_alone_is_heard_of_at_once_when_it_is_back() {
    let server = Server::start().unwrap();
    let proxy = Proxy::to(server.address()).unwrap();
    let far = registry(&format!("nats://{}", proxy.address()));
    far.register(&greeter("1", "a"), LONG).await.unwrap();
    far.register(&greeter("1", "b"), LONG).await.unwrap();
    proxy.cut();
    let near = registry(&format!("nats://{}", server.address()));
    let (mut hears, state) = watch(&near, Some("greeter")).await;
    assert_eq!(state, [], "who is cut off does not answer");
    // Somebody else has one of its nodes by now.
    let moved = Service::new("greeter", "1").node(Node::new("b", "127.0.0.1:9").with("protocol", "grpc"));
    near.register(&moved, LONG).await.unwrap();
    assert_eq!(next(&mut hears).await, Change::Create(moved.clone()));
    proxy.heal();
    assert_eq!(next(&mut hears).await, Change::Create(greeter("1", "a")));
    let both = greeter("1", "a").node(moved.nodes[0].clone());
    assert_eq!(near.get("greeter").await.unwrap(), [both]);
}

#[tokio::test]
async fn a_server_that_stands_still_is_an_error_in_time_and_is_used_when_it_goes_on() {
    let server = Server::start().unwrap();
    let registry = registry(&format!("nats://{}?timeout_ms=1000", server.address()));
    outlives_a_pause(&registry, &server, &[Kind::Timeout, Kind::Unavailable]).await;
    registers_again(&registry).await;
    let two = greeter("1", "a").node(greeter("1", "b").nodes[0].clone());
    finds(&registry, &[two]).await;
}

#[tokio::test]
async fn what_is_too_large_is_refused_by_its_size_and_changes_nothing() {
    let server = Server::start().unwrap();
    let registry = registry(&format!("nats://{}", server.address()));
    registry.register(&greeter("1", "a"), LONG).await.unwrap();
    let node = Node::new("a", "127.0.0.1:1").with("huge", "x".repeat(1 << 20));
    let error = registry.register(&Service::new("greeter", "1").node(node), LONG).await.unwrap_err();
    assert!(error.kind() == Kind::TooLarge && error.to_string().contains("max_payload"), "{error}");
    assert_eq!(registry.get("greeter").await.unwrap(), [greeter("1", "a")]);
}
