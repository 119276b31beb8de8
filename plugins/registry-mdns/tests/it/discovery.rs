use micro_core::registry::{Change, Endpoint, Node, Registry, Service, Value};

use super::group::*;

// features: C2, C8
#[tokio::test]
async fn what_one_registers_another_finds_as_it_was() {
    let group = Group::new();
    let (a, b) = (group.registry(), group.registry());
    let value = Value::new("Request", "Request").field(Value::new("name", "string"));
    let node = Node::new("go.micro.srv.greeter-1", "[::1]:8080").with("region", "Österreich").with("protocol", "grpc");
    let mut record = Service::new("go.micro.srv.greeter", "1.2.0")
        .endpoint(Endpoint::new("Greeter.Greet").request(value).with("stream", "true"))
        .node(node);
    record.metadata.insert("team".to_owned(), "blue".to_owned());
    a.register(&record, TTL).await.unwrap();
    until("b finds it", async || b.get("go.micro.srv.greeter").await.unwrap() == [record.clone()]).await;
    assert_eq!(a.get("go.micro.srv.greeter").await.unwrap(), [record], "and so does the one who registered it");
    assert_eq!(b.get("nobody").await.unwrap(), []);
}

// features: C11
#[tokio::test]
async fn nodes_of_several_programs_come_together_by_version() {
    let group = Group::new();
    let (a, b, c) = (group.registry(), group.registry(), group.registry());
    a.register(&service("s", "1", "s-a", 1), TTL).await.unwrap();
    b.register(&service("s", "1", "s-b", 2), TTL).await.unwrap();
    b.register(&service("s", "2", "s-c", 3), TTL).await.unwrap();
    a.register(&service("other", "1", "o", 4), TTL).await.unwrap();
    until("all are found", async || {
        let mut found = c.get("s").await.unwrap();
        found.iter_mut().for_each(|s| s.nodes.sort_by(|a, b| a.id.cmp(&b.id)));
        found.len() == 2 && ids(&found) == ["s-a", "s-b", "s-c"] && found[1].version == "2"
    })
    .await;
    until("the list is whole", async || c.list().await.unwrap() == ["other", "s"]).await;
}

#[tokio::test]
async fn another_domain_is_another_world() {
    let group = Group::new();
    let (a, b) = (group.registry(), group.with("&domain=staging"));
    a.register(&service("s", "1", "s-a", 1), TTL).await.unwrap();
    until("its own world has it", async || group.registry().get("s").await.unwrap().len() == 1).await;
    assert_eq!(b.get("s").await.unwrap(), []);
    assert_eq!(b.list().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_watch_hears_the_state_first_and_then_what_comes_and_goes() {
    let group = Group::new();
    let (a, b) = (group.registry(), group.registry());
    a.register(&service("s", "1", "s-a", 1), TTL).await.unwrap();
    until("b sees it", async || b.get("s").await.unwrap().len() == 1).await;
    let mut watch = b.watch(Some("s")).await.unwrap();
    assert_eq!(next(&mut watch).await, Change::State(vec![service("s", "1", "s-a", 1)]));
    a.register(&service("other", "1", "o", 1), TTL).await.unwrap();
    a.register(&service("s", "1", "s-b", 2), TTL).await.unwrap();
    assert_eq!(next(&mut watch).await, Change::Create(service("s", "1", "s-b", 2)));
    a.register(&service("s", "1", "s-b", 3), TTL).await.unwrap();
    assert_eq!(next(&mut watch).await, Change::Update(service("s", "1", "s-b", 3)));
    a.register(&service("s", "2", "s-b", 3), TTL).await.unwrap();
    assert_eq!(next(&mut watch).await, Change::Delete(service("s", "1", "s-b", 3)));
    assert_eq!(next(&mut watch).await, Change::Create(service("s", "2", "s-b", 3)));
    a.deregister(&service("s", "1", "s-a", 1)).await.unwrap();
    assert_eq!(next(&mut watch).await, Change::Delete(service("s", "1", "s-a", 1)));
}

#[tokio::test]
async fn a_watch_of_everything_finds_what_was_there_and_what_comes() {
    let group = Group::new();
    let (a, b) = (group.registry(), group.registry());
    a.register(&service("first", "1", "f", 1), TTL).await.unwrap();
    b.register(&service("own", "1", "w", 1), TTL).await.unwrap();
    let mut watch = b.watch(None).await.unwrap();
    assert!(matches!(next(&mut watch).await, Change::State(all) if ids(&all) == ["f", "w"]));
    a.register(&service("second", "1", "s", 2), TTL).await.unwrap();
    assert_eq!(next(&mut watch).await, Change::Create(service("second", "1", "s", 2)));
    b.deregister(&service("own", "1", "w", 1)).await.unwrap();
    assert_eq!(next(&mut watch).await, Change::Delete(service("own", "1", "w", 1)));
}

#[tokio::test]
async fn several_watchers_hear_everything_and_a_dropped_one_ends_nothing() {
    let group = Group::new();
    let (a, b) = (group.registry(), group.registry());
    let mut watches = Vec::new();
    for _ in 0..3 {
        watches.push(b.watch(Some("s")).await.unwrap());
    }
    for watch in &mut watches {
        assert_eq!(next(watch).await, Change::State(vec![]));
    }
    drop(watches.pop());
    a.register(&service("s", "1", "s-a", 1), TTL).await.unwrap();
    for watch in &mut watches {
        assert_eq!(next(watch).await, Change::Create(service("s", "1", "s-a", 1)));
    }
}

#[tokio::test]
async fn fifty_nodes_register_at_once_and_all_are_found() {
    let group = Group::new();
    let (a, b) = (group.registry(), group.registry());
    let tasks: Vec<_> = (0..50)
        .map(|node| {
            let a = a.clone();
            tokio::spawn(async move { a.register(&service("s", "1", &format!("s-{node}"), 1 + node), TTL).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    until("all are found", async || ids(&b.get("s").await.unwrap()).len() == 50).await;
}
