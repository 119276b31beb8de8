use micro_core::Kind;
use micro_core::registry::{Change, Registry};
use micro_faults::ZooKeeper as Server;
use micro_registry_zookeeper::ZooKeeper;

use crate::client::registry;
use micro_conformance::registry::steps::*;

#[test]
fn making_one_opens_nothing() {
    opens_nothing(|address| registry(&format!("zookeeper://{address}")));
    let registry = ZooKeeper::new().unwrap();
    assert_eq!((registry.name(), registry.address().as_str()), ("zookeeper", "127.0.0.1:2181"));
}

#[tokio::test]
async fn where_no_server_is_every_call_says_so_and_what_to_do() {
    let registry = registry("zookeeper://127.0.0.1:1,127.0.0.1:2?timeout_ms=2000");
    misses_its_server(&registry).await;
}

#[tokio::test]
async fn a_dead_server_is_passed_over() {
    let server = Server::start().unwrap();
    let registry = registry(&format!("zookeeper://127.0.0.1:1,{}", server.address()));
    registry.register(&greeter("1", "a"), LONG).await.unwrap();
    assert_eq!(registry.get("greeter").await.unwrap(), [greeter("1", "a")]);
}

#[tokio::test]
async fn what_a_server_forgot_is_registered_again_without_a_heart_beat() {
    let server = Server::start().unwrap();
    let one = registry(&format!("zookeeper://{}?timeout_ms=10000", server.address()));
    one.register(&greeter("1", "a"), LONG).await.unwrap();
    let (mut hears, _) = watch(&one, None).await;
    server.restart_empty().unwrap();
    let other = registry(&format!("zookeeper://{}", server.address()));
    finds(&other, &[greeter("1", "a")]).await;
    // The watch goes on, or ends so that a new one is asked for.
    one.register(&greeter("1", "b"), LONG).await.unwrap();
    loop {
        match tokio::time::timeout(LIMIT, hears.next()).await.expect("a change in time") {
            Ok(Change::Create(service)) if service == greeter("1", "b") => break,
            Ok(_) => {}
            Err(error) => {
                assert!(matches!(error.kind(), Kind::Unavailable | Kind::Timeout), "{error}");
                let (_, state) = watch(&one, None).await;
                assert_eq!(state[0].nodes.len(), 2);
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_stands_still_is_an_error_in_time_and_is_used_when_it_goes_on() {
    let server = Server::start().unwrap();
    let registry = registry(&format!("zookeeper://{}?timeout_ms=1000", server.address()));
    outlives_a_pause(&registry, &server, &[Kind::Timeout, Kind::Unavailable]).await;
    registers_again(&registry).await;
    let two = greeter("1", "a").node(greeter("1", "b").nodes[0].clone());
    finds(&registry, &[two]).await;
}
