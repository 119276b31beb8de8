use std::sync::Arc;
use std::time::Duration;

use micro_core::registry::{Change, Node, Registry, Service};
use micro_faults::Etcd as Server;

use crate::client::registry;
use crate::records::leases;
use micro_conformance::registry::steps::*;

#[tokio::test]
async fn many_that_register_one_node_at_once_have_one_lease() {
    let server = Server::start().unwrap();
    let registry = Arc::new(registry(&format!("etcd://{}", server.address())));
    let calls: Vec<_> = (0..50)
        .map(|number| {
            let registry = Arc::clone(&registry);
            // Each with another record, and some another time to live.
            let ttl = LONG + Duration::from_secs(number % 3);
            tokio::spawn(async move { registry.register(&greeter(&number.to_string(), "a"), ttl).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(leases(&server), 1);
    let there = registry.get("greeter").await.unwrap();
    assert_eq!(there.len(), 1);
    registry.deregister(&there[0]).await.unwrap();
    assert_eq!((leases(&server), registry.get("greeter").await.unwrap()), (0, vec![]));
}

#[tokio::test]
async fn a_call_that_is_given_up_leaves_no_lease_behind() {
    let server = Server::start().unwrap();
    let registry = registry(&format!("etcd://{}", server.address()));
    for number in 0..20 {
        let limit = Duration::from_micros(number * 200);
        let _ = tokio::time::timeout(limit, registry.register(&greeter("1", "a"), LONG)).await;
    }
    registry.register(&greeter("1", "a"), LONG).await.unwrap();
    assert_eq!(leases(&server), 1);
}

#[tokio::test]
async fn a_key_that_somebody_deleted_or_overwrote_comes_back_with_the_next_heart_beat() {
    let server = Server::start().unwrap();
    let registry = registry(&format!("etcd://{}", server.address()));
    let key = "/micro/registry/greeter/a";
    registry.register(&greeter("1", "a"), LONG).await.unwrap();
    for harm in [&["del", key][..], &["put", key, "{}"]] {
        server.ctl(harm).unwrap();
        assert_eq!(registry.get("greeter").await.unwrap(), []);
        registry.register(&greeter("1", "a"), LONG).await.unwrap();
        assert_eq!(registry.get("greeter").await.unwrap(), [greeter("1", "a")]);
    }
    assert_eq!(leases(&server), 1);
}

#[tokio::test]
async fn a_lease_that_somebody_revoked_is_granted_anew_in_the_same_call() {
    let server = Server::start().unwrap();
    let registry = registry(&format!("etcd://{}", server.address()));
    registry.register(&greeter("1", "a"), LONG).await.unwrap();
    let listed = server.ctl(&["lease", "list"]).unwrap();
    let id = listed.split_whitespace().last().unwrap();
    server.ctl(&["lease", "revoke", id]).unwrap();
    assert_eq!(registry.get("greeter").await.unwrap(), []);
    registry.register(&greeter("1", "a"), LONG).await.unwrap();
    assert_eq!(registry.get("greeter").await.unwrap(), [greeter("1", "a")]);
}

#[tokio::test]
async fn a_node_that_another_program_took_over_is_not_taken_away_and_its_old_lease_goes() {
    let server = Server::start().unwrap();
    let [old, new] = [(); 2].map(|()| registry(&format!("etcd://{}", server.address())));
    old.register(&greeter("1", "a"), LONG).await.unwrap();
    new.register(&greeter("2", "a"), LONG).await.unwrap();
    old.deregister(&greeter("1", "a")).await.unwrap();
    assert_eq!(new.get("greeter").await.unwrap(), [greeter("2", "a")]);
    assert_eq!(leases(&server), 1);
    // The same within one program: the lease is that of the newer record.
    new.deregister(&greeter("1", "a")).await.unwrap();
    assert_eq!((leases(&server), new.get("greeter").await.unwrap()), (1, vec![greeter("2", "a")]));
}

#[tokio::test]
async fn a_watcher_that_does_not_listen_gets_the_state_anew() {
    let server = Server::start().unwrap();
    let registry = registry(&format!("etcd://{}", server.address()));
    let (mut hears, _) = watch(&registry, Some("greeter")).await;
    let at = |node: usize, port: usize| {
        Service::new("greeter", "1").node(Node::new(format!("n{node:02}"), format!("127.0.0.1:{port}")))
    };
    for port in 1..=60 {
        let calls: Vec<_> = (0..20).map(|node| at(node, port)).collect();
        let calls = calls.iter().map(|service| registry.register(service, LONG));
        for done in futures_util::future::join_all(calls).await {
            done.unwrap();
        }
    }
    registry.register(&greeter("2", "last"), LONG).await.unwrap();
    // 1,200 changes and one: more than are kept.
    let (mut heard, mut state) = (0, None);
    while state.is_none() {
        match next(&mut hears).await {
            Change::State(services) => state = Some(services),
            _ => heard += 1,
        }
        assert!(heard <= 1_024, "no limit");
    }
    // What came after the state is told after it.
    let mut versions: Vec<_> = state.unwrap().into_iter().map(|service| service.version).collect();
    while !versions.contains(&"2".to_owned()) {
        if let Change::Create(service) = next(&mut hears).await {
            versions.push(service.version);
        }
    }
}

#[tokio::test]
async fn neither_a_heart_beat_nor_a_watch_that_was_dropped_leaves_a_stream_open() {
    let server = Server::start().unwrap();
    let registry = registry(&format!("etcd://{}", server.address()));
    for _ in 0..20 {
        registry.register(&greeter("1", "a"), LONG).await.unwrap();
        drop(watch(&registry, Some("greeter")).await);
    }
    let (_kept, _) = watch(&registry, None).await;
    let until = tokio::time::Instant::now() + LIMIT;
    loop {
        let (beats, watches) = (server.calls("LeaseKeepAlive").unwrap(), server.calls("Watch").unwrap());
        assert!(beats.0 >= 19 && watches.0 == 21, "{beats:?} {watches:?}");
        // That which is kept goes on.
        if beats.0 == beats.1 && watches.1 == 20 {
            break;
        }
        assert!(tokio::time::Instant::now() < until, "{beats:?} {watches:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
