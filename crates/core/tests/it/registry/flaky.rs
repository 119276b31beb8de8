use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use micro_core::registry::{Change, Memory, Registry, Service, Watch};
use micro_core::{Error, Kind, Result};
use tokio::sync::Notify;

/// A memory registry that can be cut off.
#[derive(Debug, Default)]
pub(crate) struct Flaky {
    pub(crate) memory: Memory,
    away: AtomicBool,
    cut: Arc<Notify>,
    pub(crate) gets: AtomicUsize,
    pub(crate) watches: Arc<AtomicUsize>,
}

impl Flaky {
    pub(crate) fn cut(&self) {
        self.away.store(true, Ordering::SeqCst);
        self.cut.notify_waiters();
    }

    pub(crate) fn heal(&self) {
        self.away.store(false, Ordering::SeqCst);
    }

    fn check(&self) -> Result<()> {
        match self.away.load(Ordering::SeqCst) {
            true => Err(Error::new(Kind::Unavailable, "the registry is cut off")),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl Registry for Flaky {
    fn name(&self) -> &'static str {
        "flaky"
    }

    fn address(&self) -> String {
        "here".to_owned()
    }

    async fn register(&self, service: &Service, ttl: Duration) -> Result<()> {
        self.check()?;
        self.memory.register(service, ttl).await
    }

    async fn deregister(&self, service: &Service) -> Result<()> {
        self.check()?;
        self.memory.deregister(service).await
    }

    async fn get(&self, service: &str) -> Result<Vec<Service>> {
        self.gets.fetch_add(1, Ordering::SeqCst);
        self.check()?;
        self.memory.get(service).await
    }

    async fn list(&self) -> Result<Vec<String>> {
        self.check()?;
        self.memory.list().await
    }

    async fn watch(&self, service: Option<&str>) -> Result<Box<dyn Watch>> {
        self.check()?;
        self.watches.fetch_add(1, Ordering::SeqCst);
        let watch = self.memory.watch(service).await?;
        Ok(Box::new(FlakyWatch { watch, cut: Arc::clone(&self.cut), watches: Arc::clone(&self.watches) }))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[derive(Debug)]
struct FlakyWatch {
    watch: Box<dyn Watch>,
    cut: Arc<Notify>,
    watches: Arc<AtomicUsize>,
}

#[async_trait]
impl Watch for FlakyWatch {
    async fn next(&mut self) -> Result<Change> {
        tokio::select! {
            change = self.watch.next() => change,
            () = self.cut.notified() => Err(Error::new(Kind::Unavailable, "the connection was cut")),
        }
    }
}

impl Drop for FlakyWatch {
    fn drop(&mut self) {
        self.watches.fetch_sub(1, Ordering::SeqCst);
    }
}
