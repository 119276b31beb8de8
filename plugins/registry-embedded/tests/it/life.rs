use std::time::{Duration, Instant};

use micro_core::Kind;
use micro_core::address::Address;
use micro_core::registry::{Node, Registry, RegistryOptions, Service};
use micro_registry_embedded::Embedded;

use crate::program::{LIMIT, Program};

const LONG: Duration = Duration::from_secs(600);

fn greeter(id: &str) -> Service {
    Service::new("greeter", "latest").node(Node::new(id, "127.0.0.1:1").with("protocol", "grpc"))
}

// features: C1, C2
#[tokio::test]
async fn a_service_is_found_with_all_its_nodes_and_versions() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Embedded::at(folder.path());
    let _other = Program::register(folder.path(), "greeter-2");
    registry.register(&greeter("greeter-1"), LONG).await.unwrap();
    registry.register(&Service::new("greeter", "v2").node(Node::new("greeter-3", "[::1]:2")), LONG).await.unwrap();
    registry.register(&Service::new("shop", "latest").node(Node::new("shop-1", "h:1")), LONG).await.unwrap();

    let found = registry.get("greeter").await.unwrap();
    let shown: Vec<_> = found.iter().map(|service| (service.version.as_str(), service.nodes.len())).collect();
    assert_eq!(shown, [("latest", 2), ("v2", 1)]);
    assert_eq!(registry.list().await.unwrap(), ["greeter", "shop"]);
    assert_eq!(registry.get("nobody").await.unwrap(), []);
}

// features: C4
#[tokio::test]
async fn a_node_is_gone_when_it_is_deregistered_or_its_time_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Embedded::at(folder.path());
    registry.register(&greeter("greeter-1"), LONG).await.unwrap();
    registry.deregister(&greeter("greeter-1")).await.unwrap();
    registry.deregister(&greeter("greeter-1")).await.unwrap();
    assert_eq!(registry.get("greeter").await.unwrap(), []);

    registry.register(&greeter("greeter-2"), Duration::from_millis(50)).await.unwrap();
    wait_until_gone(&registry).await;
}

// features: C4
#[tokio::test]
async fn registering_again_lengthens_the_time_and_changes_the_record() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Embedded::at(folder.path());
    registry.register(&greeter("greeter-1"), Duration::from_millis(100)).await.unwrap();
    let changed = Service::new("greeter", "latest").node(Node::new("greeter-1", "127.0.0.1:9"));
    registry.register(&changed, LONG).await.unwrap();
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(registry.get("greeter").await.unwrap(), [changed]);
}

#[tokio::test]
async fn the_nodes_of_a_killed_process_are_gone_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Embedded::at(folder.path());
    let program = Program::register(folder.path(), "greeter-1");
    assert_eq!(registry.get("greeter").await.unwrap().len(), 1);
    drop(program);
    wait_until_gone(&registry).await;
}

#[test]
fn an_address_of_another_plugin_is_refused() {
    for (address, word) in [("etcd://h:1", "embedded:///a/folder"), ("embedded:///x?ttl=1", "ttl")] {
        let options = RegistryOptions::new().address(Address::parse(address).unwrap());
        let error = Embedded::with_options(options).unwrap_err();
        assert!(error.kind() == Kind::Config && error.to_string().contains(word), "{error}");
    }
}

#[tokio::test]
async fn the_registry_has_a_file_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    Embedded::at(folder.path()).register(&greeter("greeter-1"), LONG).await.unwrap();
    assert!(folder.path().join("registry.db").exists() && !folder.path().join("broker.db").exists());
}

async fn wait_until_gone(registry: &Embedded) {
    let end = Instant::now() + LIMIT;
    while !registry.get("greeter").await.unwrap().is_empty() {
        assert!(Instant::now() < end, "still there");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn who_registers_again_in_a_folder_that_was_made_anew_is_not_dead_to_another_process() {
    let above = tempfile::tempdir().unwrap();
    let folder = above.path().join("home");
    let registry = Embedded::at(&folder);
    let mine = Service::new("greeter", "latest").node(Node::new("mine", "127.0.0.1:2"));
    registry.register(&mine, LIMIT).await.unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let end = Instant::now() + LIMIT;
    while registry.register(&mine, LIMIT).await.is_err() {
        assert!(Instant::now() < end, "it never registers again");
    }
    let _other = Program::register(&folder, "other");
    let mut nodes: Vec<String> =
        registry.get("greeter").await.unwrap().remove(0).nodes.into_iter().map(|node| node.id).collect();
    nodes.sort();
    assert_eq!(nodes, ["mine", "other"]);
}
