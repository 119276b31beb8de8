use std::time::Duration;

use micro_core::registry::{Change, Node, Registry, Service, Watch};
use micro_registry_embedded::Embedded;
use tokio::time::timeout;

use crate::program::{LIMIT, Program};

const LONG: Duration = Duration::from_secs(600);

fn node(service: &str, id: &str, address: &str) -> Service {
    Service::new(service, "latest").node(Node::new(id, address))
}

async fn next(watch: &mut Box<dyn Watch>) -> Change {
    timeout(LIMIT, watch.next()).await.expect("nothing changed").unwrap()
}

// features: C1, C7
#[tokio::test]
async fn a_watch_says_first_what_is_there_and_then_what_changes() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Embedded::at(folder.path());
    registry.register(&node("greeter", "greeter-1", "h:1"), LONG).await.unwrap();
    let mut watch = registry.watch(Some("greeter")).await.unwrap();
    assert_eq!(next(&mut watch).await, Change::State(vec![node("greeter", "greeter-1", "h:1")]));

    registry.register(&node("shop", "shop-1", "h:2"), LONG).await.unwrap();
    registry.register(&node("greeter", "greeter-2", "h:3"), LONG).await.unwrap();
    assert_eq!(next(&mut watch).await, Change::Create(node("greeter", "greeter-2", "h:3")));
    registry.register(&node("greeter", "greeter-2", "h:4"), LONG).await.unwrap();
    assert_eq!(next(&mut watch).await, Change::Update(node("greeter", "greeter-2", "h:4")));
    registry.deregister(&node("greeter", "greeter-1", "h:1")).await.unwrap();
    assert_eq!(next(&mut watch).await, Change::Delete(node("greeter", "greeter-1", "h:1")));
}

// features: C5
#[tokio::test]
async fn a_watch_hears_that_a_time_to_live_ended() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Embedded::at(folder.path());
    let mut watch = registry.watch(None).await.unwrap();
    assert_eq!(next(&mut watch).await, Change::State(vec![]));
    registry.register(&node("greeter", "greeter-1", "h:1"), Duration::from_millis(600)).await.unwrap();
    assert!(matches!(next(&mut watch).await, Change::Create(_)));
    assert_eq!(next(&mut watch).await, Change::Delete(node("greeter", "greeter-1", "h:1")));
}

// features: C5
#[tokio::test]
async fn a_watch_hears_of_another_process_and_of_its_death() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Embedded::at(folder.path());
    let mut watch = registry.watch(Some("greeter")).await.unwrap();
    next(&mut watch).await;
    let program = Program::register(folder.path(), "greeter-9");
    let Change::Create(created) = next(&mut watch).await else { panic!("not created") };
    assert_eq!(created.nodes[0].id, "greeter-9");
    drop(program);
    assert!(matches!(next(&mut watch).await, Change::Delete(_)));
}
