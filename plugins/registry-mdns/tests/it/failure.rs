use micro_core::Kind;
use micro_core::address::Address;
use micro_core::registry::{Node, Registry, RegistryOptions, Service};
use micro_registry_mdns::Mdns;

use super::group::*;

#[tokio::test]
async fn where_no_group_can_be_joined_every_call_says_so_and_what_to_do() {
    let address = Address::parse("mdns://239.1.2.3:50123?interface=nosuch0").unwrap();
    let registry = Mdns::with_options(&RegistryOptions::new().address(address)).unwrap();
    for error in [
        registry.register(&service("s", "1", "s-a", 1), TTL).await.unwrap_err(),
        registry.get("s").await.unwrap_err(),
        registry.list().await.unwrap_err(),
        registry.watch(None).await.unwrap_err(),
    ] {
        let text = error.to_string();
        assert_eq!(error.kind(), Kind::Unavailable);
        assert!(text.contains("239.1.2.3:50123") && text.contains("--registry"), "{text}");
    }
}

#[tokio::test]
async fn what_mdns_cannot_carry_is_refused_whole_and_by_name() {
    let registry = Group::new().registry();
    let node = |node: Node| Service::new("s", "1").node(Node::new("good", "127.0.0.1:1")).node(node);
    let noise: String = uuids(2_000);
    for (record, kind, word) in [
        (node(Node::new("n", "example.org:80")), Kind::InvalidArgument, "example.org:80"),
        (node(Node::new("n", "127.0.0.1")), Kind::InvalidArgument, "IP address and a port"),
        (node(Node::new("x".repeat(64), "127.0.0.1:1")), Kind::InvalidArgument, "63 bytes"),
        (node(Node::new("n", "127.0.0.1:1").with("noise", noise)), Kind::TooLarge, "8972"),
        (Service::new("s", "1"), Kind::InvalidArgument, "a name and a node"),
    ] {
        let error = registry.register(&record, TTL).await.unwrap_err();
        assert!(error.kind() == kind && error.to_string().contains(word), "{error}");
        assert_eq!(registry.get("s").await.unwrap(), [], "not even the good node");
    }
}

/// Text that does not compress.
fn uuids(count: usize) -> String {
    (0..count).map(|_| uuid::Uuid::new_v4().simple().to_string()).collect()
}

#[test]
fn making_one_opens_nothing() {
    let before = std::time::Instant::now();
    let registry = Mdns::new();
    assert!(before.elapsed().as_millis() < 50);
    assert_eq!((registry.name(), registry.address().as_str()), ("mdns", "224.0.0.251:5353"));
}
