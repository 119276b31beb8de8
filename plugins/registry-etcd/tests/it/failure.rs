use std::time::{Duration, Instant};

use micro_core::Kind;
use micro_core::registry::{Change, Registry};
use micro_faults::{Etcd as Server, Proxy};
use micro_registry_etcd::Etcd;

use crate::client::registry;
use micro_conformance::registry::steps::*;

#[test]
fn making_one_opens_nothing() {
    opens_nothing(|address| registry(&format!("etcd://{address}")));
    let registry = Etcd::new().unwrap();
    assert_eq!((registry.name(), registry.address().as_str()), ("etcd", "127.0.0.1:2379"));
}

#[tokio::test]
async fn where_no_server_is_every_call_says_so_and_what_to_do() {
    let registry = registry("etcd://127.0.0.1:1,127.0.0.1:2?timeout_ms=2000");
    misses_its_server(&registry).await;
}

#[tokio::test]
async fn a_dead_or_silent_server_is_passed_over() {
    let server = Server::start().unwrap();
    let silent = Proxy::to(server.address()).unwrap();
    silent.hold();
    for first in ["127.0.0.1:1", &silent.address()] {
        let registry = registry(&format!("etcd://{first},{}?timeout_ms=3000", server.address()));
        registry.register(&greeter("1", "a"), LONG).await.unwrap();
        let before = Instant::now();
        assert_eq!(registry.get("greeter").await.unwrap(), [greeter("1", "a")]);
        assert!(before.elapsed() < Duration::from_secs(1), "the one that answered is asked first the next time");
    }
}

#[tokio::test]
async fn a_watch_whose_server_goes_away_goes_on_with_another_and_loses_nothing() {
    let server = Server::start().unwrap();
    let proxy = Proxy::to(server.address()).unwrap();
    let (direct, both) = (
        registry(&format!("etcd://{}", server.address())),
        registry(&format!("etcd://{},{}", proxy.address(), server.address())),
    );
    direct.register(&greeter("1", "a"), LONG).await.unwrap();
    let (mut hears, _) = watch(&both, Some("greeter")).await;
    proxy.cut();
    direct.deregister(&greeter("1", "a")).await.unwrap();
    direct.register(&greeter("1", "b"), LONG).await.unwrap();
    assert_eq!(next(&mut hears).await, Change::Delete(greeter("1", "a")));
    assert_eq!(next(&mut hears).await, Change::Create(greeter("1", "b")));
}

#[tokio::test]
async fn a_stream_that_is_cut_again_and_again_loses_nothing_though_the_history_is_compacted() {
    let server = Server::start().unwrap();
    let proxy = Proxy::to(server.address()).unwrap();
    let (direct, cut) =
        (registry(&format!("etcd://{}", server.address())), registry(&format!("etcd://{}", proxy.address())));
    let (mut hears, _) = watch(&cut, Some("greeter")).await;
    for round in 0..6 {
        proxy.reset();
        let service = greeter("1", &format!("n{round}"));
        direct.register(&service, LONG).await.unwrap();
        direct.deregister(&greeter("1", &format!("n{}", round - 1))).await.unwrap();
        let told = server.ctl(&["get", "x", "--write-out=json"]).unwrap();
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        server.ctl(&["compact", &told["header"]["revision"].to_string()]).unwrap();
        let (mut came, mut went) = (false, round == 0);
        while !came || !went {
            match next(&mut hears).await {
                Change::Create(heard) => came |= heard == service,
                Change::Delete(heard) => went |= heard.nodes[0].id == format!("n{}", round - 1),
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(proxy.accepted() < 40, "no hot loop: {} connections", proxy.accepted());
}

#[tokio::test]
async fn a_server_that_is_killed_and_started_again_is_used_again() {
    let server = Server::start().unwrap();
    let registry = registry(&format!("etcd://{}?timeout_ms=2000", server.address()));
    registry.register(&greeter("1", "a"), LONG).await.unwrap();
    let (mut hears, state) = watch(&registry, None).await;
    assert_eq!(state, [greeter("1", "a")]);
    server.kill();
    let error = end(&mut hears).await;
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    assert_eq!(registry.get("greeter").await.unwrap_err().kind(), Kind::Unavailable);

    server.restart().unwrap();
    finds(&registry, &[greeter("1", "a")]).await;
    let (_, state) = watch(&registry, None).await;
    assert_eq!(state, [greeter("1", "a")]);

    server.restart_empty().unwrap();
    finds(&registry, &[]).await;
    registry.register(&greeter("1", "a"), LONG).await.unwrap();
    assert_eq!(registry.get("greeter").await.unwrap(), [greeter("1", "a")]);
}

#[tokio::test]
async fn a_server_that_stands_still_is_an_error_in_time_and_is_used_when_it_goes_on() {
    let server = Server::start().unwrap();
    let registry = registry(&format!("etcd://{}?timeout_ms=1000", server.address()));
    outlives_a_pause(&registry, &server, &[Kind::Timeout]).await;
    registry.register(&greeter("1", "b"), LONG).await.unwrap();
    let (_, state) = watch(&registry, None).await;
    assert_eq!(state[0].nodes.len(), 2);
}

#[test]
fn a_registry_is_used_from_runtimes_that_come_and_go() {
    let server = Server::start().unwrap();
    let registry = registry(&format!("etcd://{}", server.address()));
    for number in 0..3 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            registry.register(&greeter("1", &format!("n{number}")), LONG).await.unwrap();
            assert_eq!(registry.get("greeter").await.unwrap()[0].nodes.len(), number + 1);
        });
    }
}
