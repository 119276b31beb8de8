//! Three servers that are one cluster: any may die, and with most of them everything goes on.

use micro_conformance::registry::steps::*;
use micro_core::Kind;
use micro_core::registry::{Change, Registry};
use micro_faults::Etcd as Server;
use tokio::time::{Instant, sleep};

use crate::client::registry;

fn address(cluster: &[Server]) -> String {
    let servers: Vec<String> = cluster.iter().map(|server| server.address()).collect();
    format!("etcd://{}", servers.join(","))
}

/// Registers, again while the cluster chooses a new leader.
async fn register(one: &dyn Registry, id: &str) {
    let until = Instant::now() + LIMIT;
    while let Err(error) = one.register(&greeter("1", id), LONG).await {
        assert!(Instant::now() < until, "{error}");
        sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn each_server_of_a_cluster_may_die_and_come_back_and_no_change_is_lost() {
    let cluster = Server::start_cluster(3).unwrap();
    let (one, other) = (registry(&address(&cluster)), registry(&address(&cluster)));
    register(&one, "a").await;
    let (mut hears, mut known) = watch(&other, Some("greeter")).await;
    assert_eq!(known, [greeter("1", "a")]);
    for (server, id) in cluster.iter().zip(["b", "c", "d"]) {
        server.kill();
        register(&one, id).await;
        // It goes on with another server, or a new watch knows.
        let until = Instant::now() + LIMIT;
        while !known.iter().flat_map(|service| &service.nodes).any(|node| node.id == id) {
            assert!(Instant::now() < until, "{id} is not heard of: {known:?}");
            match tokio::time::timeout(LIMIT, hears.next()).await.expect("a change in time") {
                Ok(Change::State(state)) => known = state,
                Ok(Change::Create(service) | Change::Update(service)) => known.push(service),
                Ok(change) => panic!("nothing went, and yet {change:?}"),
                Err(_) => {
                    if let Ok(watch) = other.watch(Some("greeter")).await {
                        hears = watch;
                    }
                }
            }
        }
        server.restart().unwrap();
    }
    let found = one.get("greeter").await.unwrap();
    let ids: Vec<_> = found[0].nodes.iter().map(|node| node.id.as_str()).collect();
    assert_eq!(ids, ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn without_most_of_its_servers_a_cluster_says_so_and_goes_on_when_they_are_back() {
    let cluster = Server::start_cluster(3).unwrap();
    let one = registry(&format!("{}?timeout_ms=2000", address(&cluster)));
    register(&one, "a").await;
    for server in &cluster[1..] {
        server.kill();
    }
    let error = one.register(&greeter("1", "b"), LONG).await.unwrap_err();
    assert!(matches!(error.kind(), Kind::Unavailable | Kind::Timeout), "{error}");
    assert!(error.to_string().contains(&cluster[0].address()), "{error}");
    cluster[1].restart().unwrap();
    register(&one, "b").await;
    finds(&one, &[greeter("1", "a").node(greeter("1", "b").nodes[0].clone())]).await;
}
