//! Members and records, and waiting with a limit.

use std::time::Duration;

use micro_core::address::Address;
use micro_core::registry::{Change, Node, Registry, RegistryOptions, Service, Watch};
use micro_registry_gossip::Gossip;
use tokio::time::{Instant, sleep, timeout};

pub(crate) const LONG: Duration = Duration::from_secs(600);
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// How often the members of these tests gossip, and how long they may be silent.
pub(crate) const TIMES: &str = "interval_ms=100&silence_ms=2000";
pub(crate) const SILENCE: Duration = Duration::from_secs(2);

pub(crate) fn registry(address: &str) -> Gossip {
    Gossip::with_options(&RegistryOptions::new().address(Address::parse(address).unwrap())).unwrap()
}

/// A first member, at any port.
pub(crate) fn first(domain: &str) -> Gossip {
    registry(&format!("gossip://?listen=127.0.0.1:0&domain={domain}&{TIMES}"))
}

/// A member that knows one other.
pub(crate) fn joining(seed: &str, domain: &str) -> Gossip {
    registry(&format!("gossip://{seed}?domain={domain}&{TIMES}"))
}

/// Where others reach a member; called within and without a runtime.
pub(crate) fn address(member: &Gossip) -> String {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::thread::scope(|scope| scope.spawn(|| runtime().block_on(member.member_address())).join().unwrap().unwrap())
}

pub(crate) fn service(version: &str, id: &str) -> Service {
    Service::new("greeter", version).node(Node::new(id, "127.0.0.1:37903").with("protocol", "grpc"))
}

pub(crate) fn ids(services: &[Service]) -> Vec<&str> {
    services.iter().flat_map(|service| &service.nodes).map(|node| node.id.as_str()).collect()
}

/// Begins a watch, and returns it with the first state.
pub(crate) async fn watch(registry: &Gossip) -> (Box<dyn Watch>, Vec<Service>) {
    let mut watch = registry.watch(Some("greeter")).await.unwrap();
    match next(&mut watch).await {
        Change::State(state) => (watch, state),
        other => panic!("a watch begins with {other:?}"),
    }
}

pub(crate) async fn next(watch: &mut Box<dyn Watch>) -> Change {
    timeout(LIMIT, watch.next()).await.expect("a change in time").unwrap()
}

/// Waits until a member finds these nodes of greeter, and no others.
pub(crate) async fn finds(registry: &Gossip, expected: &[&str]) {
    finds_within(LIMIT, registry, expected).await;
}

pub(crate) async fn finds_within(limit: Duration, registry: &Gossip, expected: &[&str]) {
    let until = Instant::now() + limit;
    loop {
        let found = registry.get("greeter").await;
        if found.as_ref().is_ok_and(|found| ids(found) == expected) {
            return;
        }
        assert!(Instant::now() < until, "{found:?}");
        sleep(Duration::from_millis(20)).await;
    }
}
