use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::Duration;

use micro_core::address::Address;
use micro_core::registry::{Change, Node, RegistryOptions, Service, Watch};
use micro_registry_mdns::Mdns;

pub(crate) const LIMIT: Duration = Duration::from_secs(20);
pub(crate) const TTL: Duration = Duration::from_secs(60);

/// A multicast group that no other test uses.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) address: SocketAddrV4,
}

impl Group {
    pub(crate) fn new() -> Self {
        let id = uuid::Uuid::new_v4().into_bytes();
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { address: SocketAddrV4::new(Ipv4Addr::new(239, id[0], id[1], id[2] | 1), port) }
    }

    pub(crate) fn registry(&self) -> Mdns {
        self.with("")
    }

    pub(crate) fn with(&self, parameters: &str) -> Mdns {
        let text = format!("mdns://{}?interface=lo&timeout=300&interval=0.5{parameters}", self.address);
        Mdns::with_options(&RegistryOptions::new().address(Address::parse(&text).unwrap())).unwrap()
    }
}

pub(crate) fn service(name: &str, version: &str, id: &str, port: u16) -> Service {
    Service::new(name, version).node(Node::new(id, format!("127.0.0.1:{port}")).with("protocol", "grpc"))
}

pub(crate) async fn next(watch: &mut Box<dyn Watch>) -> Change {
    tokio::time::timeout(LIMIT, watch.next()).await.expect("a change must come").unwrap()
}

pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    tokio::time::timeout(LIMIT, async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("in vain: {what}"));
}

pub(crate) fn ids(services: &[Service]) -> Vec<String> {
    services.iter().flat_map(|service| &service.nodes).map(|node| node.id.clone()).collect()
}
