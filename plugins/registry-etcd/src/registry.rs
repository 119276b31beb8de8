use std::any::Any;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use micro_core::address::Address;
use micro_core::registry::{Driver, Registry, RegistryOptions, Service, Unreadable, Watch, grouped};
use micro_core::{Error, Kind, Result};

use crate::client::Client;
use crate::config::Config;
use crate::error::Failed;
use crate::keys;
use crate::nodes::Nodes;
use crate::range::range;
use crate::watch::{Watched, Watching};

/// The etcd registry, in go-micro's record format: its programs and ours find each other.
///
/// The address is `etcd://user:password@host:2379,host:2379`, or nothing for `127.0.0.1:2379`. The parameters are in the
/// [documentation of this crate](crate).
///
/// # Examples
///
/// ```no_run
/// use micro_core::address::Address;
/// use micro_core::registry::{Node, Registry, RegistryOptions, Service};
/// use micro_registry_etcd::Etcd;
/// use std::time::Duration;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let registry = Etcd::with_options(&RegistryOptions::new().address(Address::parse("etcd://h1:2379,h2:2379")?))?;
/// let greeter = Service::new("greeter", "latest").node(Node::new("greeter-1", "127.0.0.1:4040"));
/// registry.register(&greeter, Duration::from_secs(90)).await?;
/// assert_eq!(registry.get("greeter").await?, [greeter]);
/// # Ok::<(), micro_core::Error>(())
/// # }).unwrap();
/// ```
pub struct Etcd {
    config: Config,
    running: Mutex<Option<Running>>,
}

/// What the first call starts.
#[derive(Clone)]
struct Running {
    client: Arc<Client>,
    nodes: Arc<Nodes>,
    unreadable: Arc<Unreadable>,
    driver: Arc<Driver>,
}

impl Etcd {
    /// Creates a registry on `127.0.0.1:2379`. No I/O is done.
    ///
    /// # Errors
    ///
    /// As [`with_options`](Self::with_options).
    pub fn new() -> Result<Self> {
        Self::with_options(&RegistryOptions::new())
    }

    /// Creates a registry with options. No I/O is done. Without an account in the address, that of `ETCD_USERNAME` and
    /// `ETCD_PASSWORD` is taken.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`] for an address that makes no sense.
    pub fn with_options(options: &RegistryOptions) -> Result<Self> {
        Self::at(&options.address)
    }

    fn at(address: &Address) -> Result<Self> {
        let config = Config::read(address, |name| std::env::var(name).ok())?;
        Ok(Self { config, running: Mutex::default() })
    }

    fn running(&self) -> Result<Running> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = &*running {
            return Ok(running.clone());
        }
        let started = Running {
            client: Arc::new(Client::new(self.config.clone())),
            nodes: Arc::default(),
            unreadable: Arc::new(Unreadable::new("etcd")),
            driver: Arc::new(Driver::start("etcd", std::future::pending(), std::future::ready(()))?),
        };
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
        self.run(operation, |Running { client, unreadable, .. }| async move {
            let prefix = keys::services(&client.config.prefix, service.as_deref());
            let found = client.call(|lane| {
                let prefix = prefix.clone();
                async move { range(&lane, &prefix).await }
            });
            let found = found.await?;
            let watched = Watched { client, unreadable, service };
            Ok(found.kvs.iter().filter_map(|kv| watched.record(kv)).map(|(_, service)| service).collect())
        })
        .await
    }
}

#[async_trait]
impl Registry for Etcd {
    fn name(&self) -> &'static str {
        "etcd"
    }

    fn address(&self) -> String {
        self.config.address()
    }

    async fn register(&self, service: &Service, ttl: Duration) -> Result<()> {
        service.check_registration(ttl).map_err(|error| error.operation("registry.register"))?;
        let mut records = Vec::with_capacity(service.nodes.len());
        for node in &service.nodes {
            let value = serde_json::to_vec(&service.with_only(node.clone()))
                .map_err(|error| Error::new(Kind::Encode, "the record of a service is no JSON").source(error))?;
            records.push((keys::node(&self.config.prefix, &service.name, &node.id), value));
        }
        self.run("registry.register", |Running { client, nodes, .. }| async move {
            for (key, value) in records {
                nodes.register(&client, &key, value, ttl).await?;
            }
            Ok(())
        })
        .await
    }

    async fn deregister(&self, service: &Service) -> Result<()> {
        let (service, prefix) = (service.clone(), self.config.prefix.clone());
        self.run("registry.deregister", |Running { client, nodes, unreadable, .. }| async move {
            for node in &service.nodes {
                let key = keys::node(&prefix, &service.name, &node.id);
                let is_meant = |value: &[u8]| {
                    let there = unreadable.read(&key, value);
                    there.is_some_and(|there| there.name == service.name && there.version == service.version)
                };
                nodes.deregister(&client, &key, |kv| is_meant(&kv.value)).await?;
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
        let Running { client, unreadable, driver, .. } = self.running()?;
        let watched = Watched { client, unreadable, service: service.map(str::to_owned) };
        let watching = Watching::begin(watched, Arc::clone(&driver));
        Ok(Box::new(driver.run(watching).await?))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl fmt::Debug for Etcd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Etcd").field("config", &self.config).finish_non_exhaustive()
    }
}
