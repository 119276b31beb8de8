use std::time::Duration;

use micro_core::Kind;
use micro_core::registry::{Change, Endpoint, Node, Registry, Service, Value};
use micro_faults::Etcd as Server;

use crate::client::registry;
use micro_conformance::registry::steps::*;

/// As go-micro v2.9.1 wrote it.
const OF_GO: &str = r#"{"name":"greeter","version":"latest","metadata":null,
 "endpoints":[{"name":"Greeter.Greet",
   "request":{"name":"HealthRequest","type":"HealthRequest","values":[{"name":"service","type":"string","values":null}]},
   "response":{"name":"HealthResponse","type":"HealthResponse","values":[{"name":"status","type":"string","values":null}]},
   "metadata":{}}],
 "nodes":[{"id":"greeter-b3c8","address":"127.0.0.1:37903",
   "metadata":{"broker":"memory","protocol":"grpc","registry":"memory","server":"grpc","transport":"grpc","zone":"a"}}]}"#;

fn of_go() -> Service {
    let shape = |name: &str, field: &str| Value::new(name, name).field(Value::new(field, "string"));
    let greet = Endpoint::new("Greeter.Greet")
        .request(shape("HealthRequest", "service"))
        .response(shape("HealthResponse", "status"));
    let node = [("broker", "memory"), ("protocol", "grpc"), ("registry", "memory"), ("server", "grpc")];
    let node = node.into_iter().fold(Node::new("greeter-b3c8", "127.0.0.1:37903"), |node, (k, v)| node.with(k, v));
    Service::new("greeter", "latest").endpoint(greet).node(node.with("transport", "grpc").with("zone", "a"))
}

/// `null` and empty are the same to Go.
fn without_nothing(value: &serde_json::Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match value {
        Json::Object(map) => {
            let kept = map.iter().filter(|(_, value)| !value.is_null() && **value != serde_json::json!({}));
            Json::Object(kept.map(|(name, value)| (name.clone(), without_nothing(value))).collect())
        }
        Json::Array(values) => match values.iter().map(without_nothing).collect::<Vec<_>>() {
            empty if empty.is_empty() => Json::Null,
            values => Json::Array(values),
        },
        other => other.clone(),
    }
}

#[tokio::test]
async fn a_node_is_a_key_of_go_micros_with_its_json() {
    let server = Server::start().unwrap();
    let registry = registry(&format!("etcd://{}", server.address()));
    let second = Node::new("a/b", "127.0.0.1:2");
    registry.register(&of_go().node(second), LONG).await.unwrap();
    let keys = server.ctl(&["get", "", "--prefix", "--keys-only"]).unwrap();
    let keys: Vec<_> = keys.split_whitespace().collect();
    assert_eq!(keys, ["/micro/registry/greeter/a-b", "/micro/registry/greeter/greeter-b3c8"]);

    let value = server.ctl(&["get", "--print-value-only", keys[1]]).unwrap();
    let [written, expected] = [&value, OF_GO].map(|text| serde_json::from_str::<serde_json::Value>(text).unwrap());
    for name in ["name", "version", "metadata", "endpoints", "nodes"] {
        assert!(written.get(name).is_some(), "Go writes every field: {written}");
    }
    assert_eq!(written["nodes"].as_array().unwrap().len(), 1);
    let values =
        |json: &serde_json::Value| without_nothing(&without_nothing(json)).to_string().replace("\"values\":null,", "");
    assert_eq!(values(&written).replace(",\"values\":null", ""), values(&expected).replace(",\"values\":null", ""));
}

#[tokio::test]
async fn another_domain_has_keys_of_its_own() {
    let server = Server::start().unwrap();
    let registry = registry(&format!("etcd://{}?domain=shop", server.address()));
    registry.register(&greeter("1", "a"), LONG).await.unwrap();
    let keys = server.ctl(&["get", "", "--prefix", "--keys-only"]).unwrap();
    assert_eq!(keys.trim(), "/micro/registry-shop/greeter/a");
}

#[tokio::test]
async fn what_a_go_program_wrote_is_read_watched_and_listed() {
    let server = Server::start().unwrap();
    let registry = registry(&format!("etcd://{}", server.address()));
    let (mut hears, _) = watch(&registry, Some("greeter")).await;
    server.ctl(&["put", "/micro/registry/greeter/greeter-b3c8", OF_GO]).unwrap();
    assert_eq!(next(&mut hears).await, Change::Create(of_go()));
    assert_eq!(registry.get("greeter").await.unwrap(), [of_go()]);
    assert_eq!(registry.list().await.unwrap(), ["greeter"]);
    server.ctl(&["del", "/micro/registry/greeter/greeter-b3c8"]).unwrap();
    assert_eq!(next(&mut hears).await, Change::Delete(of_go()));
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_left_out_and_hides_no_other() {
    let server = Server::start().unwrap();
    let registry = registry(&format!("etcd://{}", server.address()));
    let (good, key) = (greeter("1", "good"), "/micro/registry/greeter/bad");
    let (mut hears, _) = watch(&registry, Some("greeter")).await;
    server.ctl(&["put", key, "{"]).unwrap();
    registry.register(&good, LONG).await.unwrap();
    assert_eq!(next(&mut hears).await, Change::Create(good.clone()), "nothing of the bad one");
    assert_eq!(registry.get("greeter").await.unwrap(), std::slice::from_ref(&good));
    assert_eq!(registry.list().await.unwrap(), ["greeter"]);

    // One that was good and is not any more is gone.
    let json = serde_json::to_string(&greeter("2", "bad")).unwrap();
    server.ctl(&["put", key, &json]).unwrap();
    assert_eq!(next(&mut hears).await, Change::Create(greeter("2", "bad")));
    server.ctl(&["put", key, "no record"]).unwrap();
    assert_eq!(next(&mut hears).await, Change::Delete(greeter("2", "bad")));
    let (_, state) = watch(&registry, Some("greeter")).await;
    assert_eq!(state, [good]);
}

#[tokio::test]
async fn two_names_that_share_a_key_are_two_services() {
    let server = Server::start().unwrap();
    let registry = registry(&format!("etcd://{}", server.address()));
    let [slash, dash] =
        ["a/b", "a-b"].map(|name| Service::new(name, "1").node(Node::new(name.replace('/', "."), "127.0.0.1:1")));
    let (mut hears, _) = watch(&registry, Some("a/b")).await;
    registry.register(&dash, LONG).await.unwrap();
    registry.register(&slash, LONG).await.unwrap();
    assert_eq!(next(&mut hears).await, Change::Create(slash.clone()));
    assert_eq!(registry.get("a/b").await.unwrap(), [slash]);
    assert_eq!(registry.get("a-b").await.unwrap(), [dash]);
    assert_eq!(registry.list().await.unwrap(), ["a-b", "a/b"]);
}

#[tokio::test]
async fn what_is_larger_than_etcd_takes_is_refused_by_name_and_leaves_what_was_there() {
    let server = Server::start().unwrap();
    let registry = registry(&format!("etcd://{}", server.address()));
    registry.register(&greeter("1", "a"), LONG).await.unwrap();
    // Over what a request may be, and over what is even received.
    for size in [1_600 << 10, 3 << 20] {
        for id in ["a", "b"] {
            let mut large = greeter("1", id);
            large.metadata.insert("large".to_owned(), "x".repeat(size));
            let error = registry.register(&large, LONG).await.unwrap_err();
            assert_eq!(error.kind(), Kind::TooLarge, "{error}");
            assert!(error.to_string().contains("1.5 MiB"), "{error}");
        }
    }
    assert_eq!(registry.get("greeter").await.unwrap(), [greeter("1", "a")]);
    assert_eq!(leases(&server), 1, "a lease that is for nothing was given back");
}

/// More than one page, and more than is read at once.
#[tokio::test]
async fn a_registry_of_any_size_is_read() {
    let server = Server::start().unwrap();
    let registry = registry(&format!("etcd://{}", server.address()));
    let node = |number: usize| {
        let large = if number < 20 { 1 << 20 } else { 16 };
        Service::new("greeter", "1").node(Node::new(format!("n{number:04}"), "h:1").with("x", "x".repeat(large)))
    };
    for number in 0..600 {
        registry.register(&node(number), LONG).await.unwrap();
    }
    let found = registry.get("greeter").await.unwrap();
    assert_eq!(found[0].nodes.len(), 600);
    let (_, state) = watch(&registry, None).await;
    assert!(state == found, "a watch begins with the same");
}

#[tokio::test]
async fn a_change_of_version_or_endpoints_is_written() {
    let server = Server::start().unwrap();
    let registry = registry(&format!("etcd://{}", server.address()));
    registry.register(&greeter("1", "a"), LONG).await.unwrap();
    for changed in [greeter("2", "a"), greeter("2", "a").endpoint(Endpoint::new("Greeter.Wave"))] {
        registry.register(&changed, Duration::from_secs(90)).await.unwrap();
        assert_eq!(registry.get("greeter").await.unwrap(), [changed]);
    }
    registry.deregister(&greeter("1", "a")).await.unwrap();
    registry.register(&greeter("2", "a"), LONG).await.unwrap();
    assert_eq!(registry.get("greeter").await.unwrap(), [greeter("2", "a")]);
}

pub(crate) fn leases(server: &Server) -> usize {
    let listed = server.ctl(&["lease", "list"]).unwrap();
    let count = listed.split_whitespace().nth(1).and_then(|count| count.parse().ok());
    count.unwrap_or_else(|| panic!("{listed}"))
}
