//! What others registered: go-micro, and programs that know nothing of us.

use std::time::Duration;

use micro_core::registry::{Change, Node, Service};
use micro_faults::Consul as Server;

use super::plain::{get, put};
use super::{LIMIT, finds, greeter, next, registry};

/// The bytes of go-micro's plugin: a version, a pair of metadata, and its check.
const GO_MICRO: &str = r#"{"ID":"greeter-go","Name":"greeter","Address":"127.0.0.1","Port":37903,
"Tags":["t-789caa562a28ca2fc94fcecf51b2524a2f2a4856aa05040000ffff468306d9","v-789cca492c492d2e01040000ffff08cc028e"],
"Check":{"TTL":"1m0s","DeregisterCriticalServiceAfter":"1m5s"}}"#;

fn of_go_micro() -> Service {
    Service::new("greeter", "latest").node(Node::new("greeter-go", "127.0.0.1:37903").with("protocol", "grpc"))
}

#[tokio::test]
async fn a_node_of_go_micro_is_found_once_its_check_passes() {
    let server = Server::start().unwrap();
    let registry = registry(&server.address());
    put(&server, "/v1/agent/service/register", GO_MICRO);
    let mut watch = registry.watch(Some("greeter")).await.unwrap();
    // go-micro's registration begins as one that failed.
    assert_eq!(next(&mut watch).await.unwrap(), Change::State(Vec::new()));
    put(&server, "/v1/agent/check/pass/service:greeter-go", "");
    assert_eq!(next(&mut watch).await.unwrap(), Change::Create(of_go_micro()));
    assert_eq!(registry.get("greeter").await.unwrap(), [of_go_micro()]);
    put(&server, "/v1/agent/check/fail/service:greeter-go", "");
    assert_eq!(next(&mut watch).await.unwrap(), Change::Delete(of_go_micro()));
    assert_eq!(registry.get("greeter").await.unwrap(), []);
    assert!(!registry.list().await.unwrap().contains(&"greeter".to_owned()), "it has no node that lives");
}

#[tokio::test]
async fn what_we_register_is_there_for_go_micro() {
    let server = Server::start().unwrap();
    let registry = registry(&server.address());
    let service =
        Service::new("greeter", "latest").node(Node::new("greeter-1", "127.0.0.1:1").with("protocol", "grpc"));
    registry.register(&service, Duration::from_secs(90)).await.unwrap();
    let listed = get(&server, "/v1/health/service/greeter");
    for part in [
        r#""ID": "greeter-1""#,
        r#""Address": "127.0.0.1""#,
        r#""Port": 1"#,
        r#""protocol": "grpc""#,
        r#""CheckID": "service:greeter-1""#,
        r#""Status": "passing""#,
        r#""t-789c"#,
        r#""v-789c"#,
    ] {
        let tight = part.replace(": ", ":");
        assert!(listed.contains(part) || listed.contains(&tight), "{part} is not in {listed}");
    }
}

#[tokio::test]
async fn a_service_that_knows_nothing_of_us_is_found_and_bad_tags_hurt_nobody() {
    let server = Server::start().unwrap();
    let registry = registry(&server.address());
    put(
        &server,
        "/v1/agent/service/register",
        r#"{"ID":"db-1","Name":"db","Address":"10.0.0.7","Port":5432,"Tags":["primary","t-shirt","v-00"],"Meta":{"zone":"a"}}"#,
    );
    put(
        &server,
        "/v1/agent/service/register",
        r#"{"ID":"greeter-bad","Name":"greeter","Port":1,"Tags":["v-zz","e-789c"]}"#,
    );
    registry.register(&greeter(1), LIMIT).await.unwrap();
    let bad = Service::new("greeter", "").node(Node::new("greeter-bad", "127.0.0.1:1"));
    finds(&registry, &[bad, greeter(1)]).await;
    let db = Service::new("db", "").node(Node::new("db-1", "10.0.0.7:5432"));
    let found = registry.get("db").await.unwrap();
    assert_eq!(found[0].nodes[0].address, db.nodes[0].address);
    let listed = registry.list().await.unwrap();
    assert!(["db", "greeter"].iter().all(|name| listed.contains(&(*name).to_owned())), "{listed:?}");
}
