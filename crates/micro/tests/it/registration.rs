use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use micro::registry::{Memory, Registry, Service as Record, Watch};
use micro::{Error, Kind, Result};

use crate::support::{service, unique, until};

/// A registry that is down for a while: its first calls to register fail.
#[derive(Debug)]
struct Down {
    up: Memory,
    failures: AtomicU32,
}

#[async_trait::async_trait]
impl Registry for Down {
    fn name(&self) -> &'static str {
        "down"
    }

    fn address(&self) -> String {
        "nowhere:1".into()
    }

    async fn register(&self, service: &Record, ttl: Duration) -> Result<()> {
        if self.failures.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)).is_ok() {
            return Err(Error::new(Kind::Unavailable, "the registry is down").with("address", self.address()));
        }
        self.up.register(service, ttl).await
    }

    async fn deregister(&self, service: &Record) -> Result<()> {
        self.up.deregister(service).await
    }

    async fn get(&self, service: &str) -> Result<Vec<Record>> {
        self.up.get(service).await
    }

    async fn list(&self) -> Result<Vec<String>> {
        self.up.list().await
    }

    async fn watch(&self, service: Option<&str>) -> Result<Box<dyn Watch>> {
        self.up.watch(service).await
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

// features: C6
#[tokio::test]
async fn a_service_runs_while_its_registry_is_down_and_is_registered_when_it_is_up() {
    let name = unique("early");
    let up = Memory::new();
    let down = Down { up: up.clone(), failures: AtomicU32::new(5) };
    let running = service(&name).registry(down).build().unwrap().start().await.unwrap();
    assert!(!running.is_ready(), "three tries have failed");
    until("it is registered", async || running.is_ready()).await;
    assert_eq!(up.get(&name).await.unwrap().len(), 1);
    running.stop().await.unwrap();
    assert!(up.get(&name).await.unwrap().is_empty());
}

// features: C4, C6
#[tokio::test]
async fn a_registry_that_forgot_a_node_is_told_again() {
    let name = unique("forgotten");
    let service = service(&name).register(Duration::from_secs(20), Duration::from_millis(50)).build().unwrap();
    let registry = service.registry();
    let running = service.start().await.unwrap();
    registry.deregister(running.record()).await.unwrap();
    until("it is there again", async || !registry.get(&name).await.unwrap().is_empty()).await;
    running.stop().await.unwrap();
    // And not once more, by a refresh that was under way.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(registry.get(&name).await.unwrap().is_empty());
}

// features: C4
#[tokio::test]
async fn a_node_that_is_not_refreshed_goes() {
    let name = unique("silent");
    let service = service(&name).register(Duration::from_millis(300), Duration::ZERO).build().unwrap();
    let registry = service.registry();
    let running = service.start().await.unwrap();
    assert_eq!(registry.get(&name).await.unwrap().len(), 1);
    until("it is gone", async || registry.get(&name).await.unwrap().is_empty()).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_running_service_that_is_dropped_is_stopped_all_the_same() {
    let name = unique("dropped");
    let service = service(&name).build().unwrap();
    let registry: Arc<dyn Registry> = service.registry();
    drop(service.start().await.unwrap());
    until("it is deregistered", async || registry.get(&name).await.unwrap().is_empty()).await;
}

#[cfg(feature = "registry-embedded")]
#[tokio::test]
async fn a_service_is_found_again_after_the_folder_of_its_registry_was_removed() {
    let (name, parent) = (unique("outlives"), tempfile::tempdir().unwrap());
    let folder = parent.path().join("home");
    let address = format!("embedded://{}", folder.display());
    let service = service(&name).registry(address).register(Duration::from_secs(20), Duration::from_millis(50));
    let service = service.build().unwrap();
    let registry = service.registry();
    let running = service.start().await.unwrap();
    assert_eq!(registry.get(&name).await.unwrap().len(), 1);
    // Moved first: what is removed file by file is not empty when somebody makes it anew meanwhile.
    let old = parent.path().join("old");
    std::fs::rename(&folder, &old).unwrap();
    std::fs::remove_dir_all(&old).unwrap();
    // Asked of another client, which opens what is there now.
    let caller = crate::support::service(&unique("caller")).registry(format!("embedded://{}/", folder.display()));
    let caller = caller.build().unwrap().registry();
    until("it is found again", async || caller.get(&name).await.is_ok_and(|found| !found.is_empty())).await;
    running.stop().await.unwrap();
    assert!(caller.get(&name).await.unwrap().is_empty());
}
