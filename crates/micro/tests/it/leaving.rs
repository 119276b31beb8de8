//! The order of a stop, as a caller sees it: first the node is not found any more, and only then it is not there.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use micro::Result;
use micro::prelude::*;
use micro::registry::{Registry, Service as Record, Watch};
use tokio::sync::Notify;

use crate::support::{service, unique, until};

/// A registry that holds the stop at the moment when the node is taken away.
#[derive(Debug)]
struct Held {
    registry: Arc<dyn Registry>,
    gone: Arc<Notify>,
    go_on: Arc<Notify>,
}

#[async_trait::async_trait]
impl Registry for Held {
    fn name(&self) -> &'static str {
        self.registry.name()
    }

    fn address(&self) -> String {
        self.registry.address()
    }

    async fn register(&self, service: &Record, ttl: Duration) -> Result<()> {
        self.registry.register(service, ttl).await
    }

    async fn deregister(&self, service: &Record) -> Result<()> {
        self.registry.deregister(service).await?;
        self.gone.notify_one();
        self.go_on.notified().await;
        Ok(())
    }

    async fn get(&self, service: &str) -> Result<Vec<Record>> {
        self.registry.get(service).await
    }

    async fn list(&self) -> Result<Vec<String>> {
        self.registry.list().await
    }

    async fn watch(&self, service: Option<&str>) -> Result<Box<dyn Watch>> {
        self.registry.watch(service).await
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Returns the registry of an address, and a client with connections of its own.
fn caller(registry: &str) -> (Arc<dyn Registry>, micro::Client) {
    let service = service(&unique("caller")).registry(registry).build().unwrap();
    (service.registry(), service.client())
}

/// Stops a service of one client of a registry while callers of another look and call.
async fn leaves_before_it_stops(its: &str, theirs: &str) {
    let name = unique("leaving");
    let (gone, go_on) = (Arc::<Notify>::default(), Arc::<Notify>::default());
    let held = Held { registry: caller(its).0, gone: Arc::clone(&gone), go_on: Arc::clone(&go_on) };
    // mDNS carries 63 bytes of a node's id, which begins with the name.
    let mut service = service(&name).id("1").registry(held).build().unwrap();
    service.handle(Endpoint::unary("Echo.Say", |_: Context, body: Bytes| async move { Ok(body) }));
    let running = service.start().await.unwrap();
    let address = running.address().to_string();
    let body = Bytes::from_static(b"x");
    let (registry, client) = caller(theirs);
    until("it is found", async || !registry.get(&name).await.unwrap().is_empty()).await;
    let found = client.call::<Bytes, Bytes>(&name, "Echo.Say", &body);
    assert_eq!(found.await.unwrap(), "x", "by its name");

    let stop = tokio::spawn(running.stop());
    gone.notified().await;
    until("it is not found", async || registry.get(&name).await.unwrap().is_empty()).await;
    // Who asked before that still calls: over the connection there is, and over a new one.
    for client in [client.clone(), caller(theirs).1] {
        let late = client.call::<Bytes, Bytes>(&name, "Echo.Say", &body).address(address.as_str()).retries(0);
        assert_eq!(late.await.unwrap(), "x", "after it was taken away");
    }
    assert!(!stop.is_finished());
    go_on.notify_one();
    stop.await.unwrap().unwrap();
    let after = caller(theirs).1;
    after.call::<Bytes, Bytes>(&name, "Echo.Say", &body).address(address.as_str()).retries(0).await.unwrap_err();
}

#[tokio::test]
async fn a_service_is_gone_from_memory_before_it_stops_accepting() {
    leaves_before_it_stops("memory", "memory").await;
}

#[cfg(feature = "registry-embedded")]
#[tokio::test]
async fn a_service_is_gone_from_the_embedded_registry_before_it_stops_accepting() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("embedded://{}", folder.path().display());
    // Written otherwise, so that it is another client.
    leaves_before_it_stops(&address, &format!("{address}/")).await;
}

#[cfg(feature = "registry-mdns")]
#[tokio::test]
async fn a_service_is_gone_from_mdns_before_it_stops_accepting() {
    let id = uuid::Uuid::new_v4().into_bytes();
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("mdns://239.{}.{}.{}:{port}?interface=lo&interval=0.5", id[0], id[1], id[2] | 1);
    leaves_before_it_stops(&format!("{address}&timeout=200"), &format!("{address}&timeout=300")).await;
}
