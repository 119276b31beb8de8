//! What the static registry promises. It registers nothing, so that the conformance suite cannot be its measure.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use micro_core::address::Address;
use micro_core::registry::{Cache, Change, Node, Registry, RegistryOptions, Service, Watch};
use micro_core::{Kind, Result};
use micro_registry_static::Static;
use tokio::time::{Instant, sleep, timeout};

const LIMIT: Duration = Duration::from_secs(30);

fn registry(address: &str) -> Arc<dyn Registry> {
    let options = RegistryOptions::new().address(Address::parse(address).unwrap());
    Arc::new(Static::with_options(&options).unwrap())
}

fn of_file(path: &Path) -> Arc<dyn Registry> {
    registry(&format!("static://?file={}&interval_ms=20", path.display()))
}

/// A whole file is there at once, or the one before it.
fn write(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, path).unwrap();
}

fn greeter(version: &str, port: u16) -> Service {
    Service::new("greeter", version).node(Node::new(format!("greeter-h:{port}"), format!("h:{port}")))
}

fn json(services: &[Service]) -> String {
    let text = services.iter().map(|service| {
        let nodes = service.nodes.iter().map(|node| format!(r#"{{"address":"{}"}}"#, node.address));
        let nodes = nodes.collect::<Vec<_>>().join(",");
        format!(r#"{{"name":"{}","version":"{}","nodes":[{nodes}]}}"#, service.name, service.version)
    });
    format!("[{}]", text.collect::<Vec<_>>().join(","))
}

async fn next(watch: &mut Box<dyn Watch>) -> Result<Change> {
    timeout(LIMIT, watch.next()).await.expect("something in time")
}

#[tokio::test]
async fn a_list_in_the_address_is_found_and_never_changes() {
    let registry = registry("static://greeter=h:1,h:2;users=h:3");
    let mut both = greeter("latest", 1);
    both.nodes.extend(greeter("latest", 2).nodes);
    assert_eq!(registry.get("greeter").await.unwrap(), [both.clone()]);
    assert_eq!(registry.get("greet").await.unwrap(), []);
    assert_eq!(registry.list().await.unwrap(), ["greeter", "users"]);
    let mut watch = registry.watch(Some("greeter")).await.unwrap();
    assert_eq!(next(&mut watch).await.unwrap(), Change::State(vec![both]));
    assert!(timeout(Duration::from_millis(100), watch.next()).await.is_err());
}

#[tokio::test]
async fn a_service_may_register_and_is_not_listed() {
    let registry = registry("static://greeter=h:1");
    let own = greeter("latest", 9);
    registry.register(&own, LIMIT).await.unwrap();
    assert_eq!(registry.get("greeter").await.unwrap(), [greeter("latest", 1)]);
    registry.deregister(&greeter("latest", 1)).await.unwrap();
    assert_eq!(registry.get("greeter").await.unwrap(), [greeter("latest", 1)]);
    // What no registry takes is not taken here either.
    for (service, ttl) in [(own, Duration::ZERO), (Service::new("", "1"), LIMIT)] {
        assert_eq!(registry.register(&service, ttl).await.unwrap_err().kind(), Kind::InvalidArgument);
    }
}

#[tokio::test]
async fn files_of_both_kinds_are_read_with_all_that_a_record_has() {
    let folder = tempfile::tempdir().unwrap();
    let (json, toml) = (folder.path().join("nodes.json"), folder.path().join("nodes.toml"));
    fs::write(
        &json,
        r#"{"services":[{"name":"greeter","version":"1","metadata":null,"endpoints":[{"name":"Greeter.Greet"}],
           "nodes":[{"id":"a","address":"h:1","metadata":{"zone":"x"}},{"address":"h:2"}]}]}"#,
    )
    .unwrap();
    fs::write(
        &toml,
        "[[services]]\nname = 'greeter'\nversion = '1'\nendpoints = [{ name = 'Greeter.Greet' }]\n\
         [[services.nodes]]\nid = 'a'\naddress = 'h:1'\nmetadata = { zone = 'x' }\n[[services.nodes]]\naddress = 'h:2'\n",
    )
    .unwrap();
    let found = of_file(&json).get("greeter").await.unwrap();
    assert_eq!(found[0].endpoints[0].name, "Greeter.Greet");
    assert_eq!(found[0].nodes, [Node::new("a", "h:1").with("zone", "x"), Node::new("greeter-h:2", "h:2")]);
    assert_eq!(of_file(&toml).get("greeter").await.unwrap(), found);
}

#[tokio::test]
async fn a_watch_hears_what_changes_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nodes.json");
    write(&path, &json(&[greeter("1", 1), greeter("1", 2), Service::new("users", "1").node(Node::new("u", "h:7"))]));
    let registry = of_file(&path);
    let mut watch = registry.watch(Some("greeter")).await.unwrap();
    let Change::State(state) = next(&mut watch).await.unwrap() else { panic!("the state comes first") };
    assert_eq!((state.len(), state[0].nodes.len()), (1, 2));
    write(&path, &json(&[greeter("1", 2), greeter("2", 3)]));
    assert_eq!(next(&mut watch).await.unwrap(), Change::Delete(greeter("1", 1)));
    assert_eq!(next(&mut watch).await.unwrap(), Change::Create(greeter("2", 3)));
    write(&path, &json(&[greeter("1", 3)]));
    assert_eq!(next(&mut watch).await.unwrap(), Change::Delete(greeter("1", 2)));
    assert_eq!(next(&mut watch).await.unwrap(), Change::Delete(greeter("2", 3)));
    assert_eq!(next(&mut watch).await.unwrap(), Change::Create(greeter("1", 3)));
}

#[tokio::test]
async fn a_file_that_is_gone_or_broken_is_an_error_and_the_cache_goes_on_with_what_it_knew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nodes.json");
    let registry = of_file(&path);
    assert_eq!(registry.get("greeter").await.unwrap_err().kind(), Kind::Unavailable);
    write(&path, &json(&[greeter("1", 1)]));
    let cache = Cache::new(Arc::clone(&registry));
    let until = Instant::now() + LIMIT;
    while cache.get("greeter").await.is_ok_and(|known| known.candidates().is_empty()) {
        assert!(Instant::now() < until);
        sleep(Duration::from_millis(10)).await;
    }
    for (broken, kind) in [("[{", Kind::Decode), ("7", Kind::Decode), (r#"{"nodes":[]}"#, Kind::Decode)] {
        let mut watch = registry.watch(None).await.unwrap();
        assert!(matches!(next(&mut watch).await.unwrap(), Change::State(_)));
        write(&path, broken);
        let error = next(&mut watch).await.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().contains("nodes.json"), "{error}");
        assert_eq!(cache.get("greeter").await.unwrap().candidates().len(), 1);
        write(&path, &json(&[greeter("1", 1)]));
    }
    // One bad record is no bad file.
    write(&path, &json(&[Service::new("", "1").node(Node::new("x", "h:1")), greeter("1", 1)]));
    assert_eq!(registry.get("greeter").await.unwrap(), [greeter("1", 1)]);
    assert_eq!(registry.list().await.unwrap(), ["greeter"]);
}
