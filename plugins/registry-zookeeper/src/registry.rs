use std::any::Any;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use micro_core::registry::{Driver, Registry, RegistryOptions, Service, Unreadable, Watch, grouped};
use micro_core::{Error, Kind, Result};

use crate::config::Config;
use crate::error::Failed;
use crate::keeper::Keeper;
use crate::keys;
use crate::session::Sessions;
use crate::watch::{Watched, Watching};

/// The ZooKeeper registry, in go-micro's record format: its programs and ours find each other.
///
/// The address is `zookeeper://user:password@host:2181,host:2181`, or nothing for `127.0.0.1:2181`. The parameters are in the
/// [documentation of this crate](crate).
///
/// # Examples
///
/// ```no_run
/// use micro_core::address::Address;
/// use micro_core::registry::{Node, Registry, RegistryOptions, Service};
/// use micro_registry_zookeeper::ZooKeeper;
/// use std::time::Duration;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let options = RegistryOptions::new().address(Address::parse("zookeeper://h1:2181,h2:2181")?);
/// let registry = ZooKeeper::with_options(&options)?;
/// let greeter = Service::new("greeter", "latest").node(Node::new("greeter-1", "127.0.0.1:4040"));
/// registry.register(&greeter, Duration::from_secs(90)).await?;
/// assert_eq!(registry.get("greeter").await?, [greeter]);
/// # Ok::<(), micro_core::Error>(())
/// # }).unwrap();
/// ```
pub struct ZooKeeper {
    config: Config,
    running: Mutex<Option<Running>>,
}

/// What the first call starts.
#[derive(Clone)]
struct Running {
    keeper: Arc<Keeper>,
    unreadable: Arc<Unreadable>,
    driver: Arc<Driver>,
}

impl ZooKeeper {
    /// Creates a registry on `127.0.0.1:2181`. No I/O is done.
    ///
    /// # Errors
    ///
    /// As [`with_options`](Self::with_options).
    pub fn new() -> Result<Self> {
        Self::with_options(&RegistryOptions::new())
    }

    /// Creates a registry with options. No I/O is done.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`] for an address that makes no sense.
    pub fn with_options(options: &RegistryOptions) -> Result<Self> {
        Ok(Self { config: Config::read(&options.address)?, running: Mutex::default() })
    }

    fn running(&self) -> Result<Running> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = &*running {
            return Ok(running.clone());
        }
        let keeper = Arc::new(Keeper::new(Sessions::new(self.config.clone())));
        let (keeps, leaves) = (Arc::clone(&keeper), Arc::clone(&keeper));
        let driver = Driver::start("zookeeper", async move { keeps.run().await }, async move { leaves.left().await });
        let unreadable = Arc::new(Unreadable::new("zookeeper"));
        let started = Running { keeper, unreadable, driver: Arc::new(driver?) };
        *running = Some(started.clone());
        Ok(started)
    }

    /// Does something on the registry's own thread, to its end whoever waits for it.
    async fn run<T, Fut>(&self, operation: &'static str, work: impl FnOnce(Running) -> Fut) -> Result<T>
    where
        T: Send + 'static,
        Fut: Future<Output = Result<T, Failed>> + Send + 'static,
    {
        let running = self.running()?;
        let (work, config) = (work(running.clone()), self.config.clone());
        running.driver.run(async move { work.await.map_err(|failed| failed.error(&config, operation)) }).await
    }

    /// Returns the records of a service, or of all, one a node.
    async fn records(&self, operation: &'static str, service: Option<&str>) -> Result<Vec<Service>> {
        let service = service.map(str::to_owned);
        self.run(operation, |Running { keeper, unreadable, .. }| async move {
            let watched = Watched { keeper, unreadable, service };
            let sessions = &watched.keeper.sessions;
            let root = &sessions.config.root;
            let path = watched.service.as_ref().map(|service| keys::service(root, service));
            let found = sessions.call(async |session| {
                let nodes = session.nodes(root, path.as_deref()).await?;
                session.records(nodes, &watched.unreadable).await
            });
            Ok(found.await?.into_iter().filter_map(|(_, record)| watched.meant(record)).collect())
        })
        .await
    }
}

#[async_trait]
impl Registry for ZooKeeper {
    fn name(&self) -> &'static str {
        "zookeeper"
    }

    fn address(&self) -> String {
        self.config.address()
    }

    async fn register(&self, service: &Service, ttl: Duration) -> Result<()> {
        service.check_registration(ttl).map_err(|error| error.operation("registry.register"))?;
        let mut records = Vec::with_capacity(service.nodes.len());
        for node in &service.nodes {
            let data = serde_json::to_vec(&service.with_only(node.clone()))
                .map_err(|error| Error::new(Kind::Encode, "the record of a service is no JSON").source(error))?;
            records.push((keys::node(&self.config.root, &service.name, &node.id), data));
        }
        let version = service.version.clone();
        self.run("registry.register", |Running { keeper, .. }| async move {
            for (path, data) in records {
                keeper.register(&path, &version, &data, ttl).await?;
            }
            Ok(())
        })
        .await
    }

    async fn deregister(&self, service: &Service) -> Result<()> {
        let (service, root) = (service.clone(), self.config.root.clone());
        self.run("registry.deregister", |Running { keeper, unreadable, .. }| async move {
            for node in &service.nodes {
                let path = keys::node(&root, &service.name, &node.id);
                let is_meant = |data: &[u8]| {
                    let there = unreadable.read(&path, data);
                    there.is_some_and(|there| there.name == service.name && there.version == service.version)
                };
                keeper.deregister(&path, &service.version, is_meant).await?;
            }
            Ok(())
        })
        .await
    }

    async fn get(&self, service: &str) -> Result<Vec<Service>> {
        Ok(grouped(self.records("registry.get", Some(service)).await?))
    }

    async fn list(&self) -> Result<Vec<String>> {
        let records = self.records("registry.list", None).await?;
        Ok(records.into_iter().map(|service| service.name).collect::<BTreeSet<_>>().into_iter().collect())
    }

    async fn watch(&self, service: Option<&str>) -> Result<Box<dyn Watch>> {
        let Running { keeper, unreadable, driver } = self.running()?;
        let watched = Watched { keeper, unreadable, service: service.map(str::to_owned) };
        let watching = Watching::begin(watched, Arc::clone(&driver));
        Ok(Box::new(driver.run(watching).await?))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for ZooKeeper {
    fn drop(&mut self) {
        // A watch may keep the session open: the nodes go all the same.
        if let Some(running) = self.running.lock().unwrap_or_else(PoisonError::into_inner).take() {
            running.keeper.leave();
        }
    }
}

impl fmt::Debug for ZooKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZooKeeper").field("config", &self.config).finish_non_exhaustive()
    }
}
