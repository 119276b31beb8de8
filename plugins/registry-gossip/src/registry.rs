use std::any::Any;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use micro_core::registry::{Registry, RegistryOptions, Service, Watch};
use micro_core::{Error, Result};
use tokio::sync::Mutex;

use crate::config::Config;
use crate::driver::Driver;
use crate::value;
use crate::watch::GossipWatch;

/// What the handles and the watches of a registry share.
pub(crate) type Shared = Arc<Driver>;

/// The gossip registry: the processes tell each other, and there is no server.
///
/// The address is `gossip://host:7946,host:7946`, the members that are asked first; nothing for the first process. The
/// parameters are in the [documentation of this crate](crate).
///
/// # Examples
///
/// ```no_run
/// use micro_core::address::Address;
/// use micro_core::registry::{Node, Registry, RegistryOptions, Service};
/// use micro_registry_gossip::Gossip;
/// use std::time::Duration;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let address = Address::parse("gossip://10.0.0.1:7946?listen=0.0.0.0:7946")?;
/// let registry = Gossip::with_options(&RegistryOptions::new().address(address))?;
/// let greeter = Service::new("greeter", "latest").node(Node::new("greeter-1", "10.0.0.2:4040"));
/// registry.register(&greeter, Duration::from_secs(90)).await?;
/// assert_eq!(registry.get("greeter").await?, [greeter]);
/// # Ok::<(), micro_core::Error>(())
/// # }).unwrap();
/// ```
pub struct Gossip {
    config: Config,
    running: Mutex<Option<Shared>>,
}

impl Gossip {
    /// Creates the registry of a first process, at `127.0.0.1:7946`. No I/O is done.
    ///
    /// # Errors
    ///
    /// As [`with_options`](Self::with_options).
    pub fn new() -> Result<Self> {
        Self::with_options(&RegistryOptions::new())
    }

    /// Creates a registry with options. No I/O is done: the first call listens and begins to gossip.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`](micro_core::Kind::Config) for an address that makes no sense.
    pub fn with_options(options: &RegistryOptions) -> Result<Self> {
        Ok(Self { config: Config::read(&options.address)?, running: Mutex::default() })
    }

    /// Returns where others reach this process, `host:port`, for theirs to have as a seed. It begins to gossip.
    ///
    /// # Errors
    ///
    /// [`Kind::Unavailable`](micro_core::Kind::Unavailable) if it cannot listen where its address says.
    pub async fn member_address(&self) -> Result<String> {
        Ok(self.running("registry.join").await?.member.address.to_string())
    }

    async fn running(&self, operation: &'static str) -> Result<Shared> {
        let mut running = self.running.lock().await;
        if let Some(running) = running.as_ref().filter(|running| !running.is_over()) {
            return Ok(Arc::clone(running));
        }
        let started = Driver::start(self.config.clone()).await.map_err(|error| self.named(operation, error))?;
        Ok(Arc::clone(running.insert(Arc::new(started))))
    }

    fn named(&self, operation: &'static str, error: Error) -> Error {
        error.operation(operation).with("address", self.config.address())
    }

    async fn services(&self, operation: &'static str, service: Option<&str>) -> Result<Vec<Service>> {
        let driver = self.running(operation).await?;
        let (member, service) = (Arc::clone(&driver.member), service.map(str::to_owned));
        let found = driver.run(async move { member.services(service.as_deref()).await });
        found.await.map_err(|error| self.named(operation, error))
    }
}

#[async_trait]
impl Registry for Gossip {
    fn name(&self) -> &'static str {
        "gossip"
    }

    fn address(&self) -> String {
        self.config.address()
    }

    async fn register(&self, service: &Service, ttl: Duration) -> Result<()> {
        const OPERATION: &str = "registry.register";
        service.check_registration(ttl).map_err(|error| error.operation(OPERATION))?;
        let mut records = Vec::with_capacity(service.nodes.len());
        for node in &service.nodes {
            let key = value::key(&service.name, &node.id);
            let record = service.with_only(node.clone());
            let json = value::json(&key, &record).map_err(|error| self.named(OPERATION, error))?;
            records.push((key, json, record));
        }
        let driver = self.running(OPERATION).await?;
        let member = Arc::clone(&driver.member);
        let done = driver.run(async move {
            for (key, json, record) in records {
                member.register(key, json, record, ttl).await;
            }
            Ok(())
        });
        done.await.map_err(|error| self.named(OPERATION, error))
    }

    async fn deregister(&self, service: &Service) -> Result<()> {
        const OPERATION: &str = "registry.deregister";
        let driver = self.running(OPERATION).await?;
        let (member, service) = (Arc::clone(&driver.member), service.clone());
        let done = driver.run(async move {
            let mut changed = false;
            for node in &service.nodes {
                changed |= member.deregister(&value::key(&service.name, &node.id), &service.version).await;
            }
            if changed {
                member.tell_change().await;
            }
            Ok(())
        });
        done.await.map_err(|error| self.named(OPERATION, error))
    }

    async fn get(&self, service: &str) -> Result<Vec<Service>> {
        self.services("registry.get", Some(service)).await
    }

    async fn list(&self) -> Result<Vec<String>> {
        let services = self.services("registry.list", None).await?;
        Ok(services.into_iter().map(|service| service.name).collect::<BTreeSet<_>>().into_iter().collect())
    }

    async fn watch(&self, service: Option<&str>) -> Result<Box<dyn Watch>> {
        const OPERATION: &str = "registry.watch";
        let driver = self.running(OPERATION).await?;
        let (member, service) = (Arc::clone(&driver.member), service.map(str::to_owned));
        let (changes, watch) = GossipWatch::new(Arc::clone(&driver));
        let begun = driver.run(async move { member.watch(service, changes).await });
        begun.await.map_err(|error| self.named(OPERATION, error))?;
        Ok(Box::new(watch))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl fmt::Debug for Gossip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gossip").field("config", &self.config).finish_non_exhaustive()
    }
}
