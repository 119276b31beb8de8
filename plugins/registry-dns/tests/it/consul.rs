//! A real DNS server with SRV records: Consul's.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use micro_core::registry::{Change, Service};
use micro_core::{Error, Kind};
use micro_faults::Consul;
use tokio::time::{Instant, sleep};

use super::{LIMIT, next, registry};

fn put(consul: &Consul, path: &str, body: &str) {
    let mut stream = TcpStream::connect(consul.address()).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let head = format!("PUT {path} HTTP/1.0\r\nHost: consul\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.lines().next().unwrap().contains(" 200 "), "{answer}");
}

fn register(consul: &Consul, address: &str, port: u16) {
    let body = format!(r#"{{"ID":"greeter-{address}-{port}","Name":"greeter","Address":"{address}","Port":{port}}}"#);
    put(consul, "/v1/agent/service/register", &body);
}

/// Waits until so many nodes are found, and returns their record.
async fn finds(address: &str, count: usize) -> Service {
    let (registry, until) = (registry(address), Instant::now() + LIMIT);
    loop {
        let found = registry.get("greeter").await.unwrap();
        if let [service] = &found[..]
            && service.nodes.len() == count
        {
            return service.clone();
        }
        assert!(Instant::now() < until, "there is {found:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn services_are_found_with_their_ports_and_what_changes_is_heard() {
    let consul = Consul::start().unwrap();
    let address = format!("dns://{}/?domain=service.consul&version=7&min_ttl_ms=50", consul.dns());
    let registry = registry(&address);
    assert_eq!(registry.get("greeter").await.unwrap(), [], "such a name is not there");
    let mut watch = registry.watch(Some("greeter")).await.unwrap();
    assert_eq!(next(&mut watch).await.unwrap(), Change::State(Vec::new()));
    register(&consul, "127.0.0.9", 9001);
    let Change::Create(first) = next(&mut watch).await.unwrap() else { panic!("it came") };
    assert_eq!((first.name.as_str(), first.version.as_str()), ("greeter", "7"));
    assert_eq!(first.nodes[0].address, "127.0.0.9:9001");
    assert_eq!(first.nodes[0].metadata["weight"], "1");
    register(&consul, "127.0.0.9", 9002);
    let Change::Create(second) = next(&mut watch).await.unwrap() else { panic!("it came") };
    assert_eq!(second.nodes[0].address, "127.0.0.9:9002");
    assert_eq!(finds(&address, 2).await.nodes, [first.nodes[0].clone(), second.nodes[0].clone()]);
    put(&consul, "/v1/agent/service/deregister/greeter-127.0.0.9-9001", "");
    assert_eq!(next(&mut watch).await.unwrap(), Change::Delete(first));
}

#[tokio::test]
async fn an_answer_that_is_too_long_for_udp_is_asked_for_by_tcp() {
    let consul = Consul::start().unwrap();
    for port in 9001..=9060 {
        register(&consul, "127.0.0.9", port);
    }
    let found = finds(&format!("dns://{}/?domain=service.consul&min_ttl_ms=50", consul.dns()), 60).await;
    assert_eq!(found.nodes[59].address, "127.0.0.9:9060");
}

#[tokio::test]
async fn addresses_are_found_where_the_port_is_known() {
    let consul = Consul::start().unwrap();
    register(&consul, "127.0.0.8", 1);
    register(&consul, "::1", 2);
    let found =
        finds(&format!("dns://{}/?domain=service.consul&record=a&port=90&min_ttl_ms=50", consul.dns()), 2).await;
    let addresses: Vec<_> = found.nodes.iter().map(|node| node.address.as_str()).collect();
    assert_eq!(addresses, ["127.0.0.8:90", "[::1]:90"]);
}

#[tokio::test]
async fn what_dns_cannot_do_is_said() {
    let registry = registry("dns://127.0.0.1:1");
    let unsupported = |error: Error| assert_eq!(error.kind(), Kind::Unsupported, "{error}");
    unsupported(registry.list().await.unwrap_err());
    unsupported(registry.watch(None).await.unwrap_err());
    let own = Service::new("greeter", "1").node(micro_core::registry::Node::new("a", "h:1"));
    registry.register(&own, LIMIT).await.unwrap();
    registry.deregister(&own).await.unwrap();
    assert_eq!(registry.register(&own, Duration::ZERO).await.unwrap_err().kind(), Kind::InvalidArgument);
    assert_eq!(registry.get("a..b").await.unwrap_err().kind(), Kind::InvalidArgument);
}
