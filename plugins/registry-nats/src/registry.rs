use std::any::Any;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use micro_core::Result;
use micro_core::registry::{Driver, Registry, RegistryOptions, Service, Watch};

use crate::config::Config;
use crate::error::Failed;
use crate::member::Member;
use crate::watch::Watching;

/// The NATS registry, in go-micro's messages: its programs and ours find each other.
///
/// The address is `nats://user:password@host:4222,host:4222`, or nothing for `127.0.0.1:4222`. The parameters are in the
/// [documentation of this crate](crate).
///
/// # Examples
///
/// ```no_run
/// use micro_core::address::Address;
/// use micro_core::registry::{Node, Registry, RegistryOptions, Service};
/// use micro_registry_nats::Nats;
/// use std::time::Duration;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let registry = Nats::with_options(&RegistryOptions::new().address(Address::parse("nats://h1:4222,h2:4222")?))?;
/// let greeter = Service::new("greeter", "latest").node(Node::new("greeter-1", "127.0.0.1:4040"));
/// registry.register(&greeter, Duration::from_secs(90)).await?;
/// assert_eq!(registry.get("greeter").await?, [greeter]);
/// # Ok::<(), micro_core::Error>(())
/// # }).unwrap();
/// ```
pub struct Nats {
    config: Config,
    running: Mutex<Option<Running>>,
}

/// What the first call starts.
#[derive(Clone)]
struct Running {
    member: Arc<Member>,
    driver: Arc<Driver>,
}

impl Nats {
    /// Creates a registry on `127.0.0.1:4222`. No I/O is done.
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
    /// [`Kind::Config`](micro_core::Kind::Config) for an address that makes no sense.
    pub fn with_options(options: &RegistryOptions) -> Result<Self> {
        Ok(Self { config: Config::read(&options.address)?, running: Mutex::default() })
    }

    fn running(&self) -> Result<Running> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = &*running {
            return Ok(running.clone());
        }
        let member = Arc::new(Member::new(self.config.clone()));
        let (keeps, leaves) = (Arc::clone(&member), Arc::clone(&member));
        let driver = Arc::new(Driver::start("nats", keeps.keep(), async move { leaves.farewell().await })?);
        Ok(running.insert(Running { member, driver }).clone())
    }

    /// Does something on the registry's own thread, to its end whoever waits for it.
    async fn run<T, Fut>(&self, operation: &'static str, work: impl FnOnce(Arc<Member>) -> Fut) -> Result<T>
    where
        T: Send + 'static,
        Fut: Future<Output = Result<T, Failed>> + Send + 'static,
    {
        let Running { member, driver } = self.running()?;
        let (work, config) = (work(member), self.config.clone());
        driver.run(async move { work.await.map_err(|failed| failed.error(&config, operation)) }).await
    }
}

#[async_trait]
impl Registry for Nats {
    fn name(&self) -> &'static str {
        "nats"
    }

    fn address(&self) -> String {
        self.config.address()
    }

    async fn register(&self, service: &Service, ttl: Duration) -> Result<()> {
        service.check_registration(ttl).map_err(|error| error.operation("registry.register"))?;
        let records = records(service);
        self.run("registry.register", |member| member.register(records, ttl)).await
    }

    async fn deregister(&self, service: &Service) -> Result<()> {
        let records = records(service);
        self.run("registry.deregister", |member| member.deregister(records)).await
    }

    async fn get(&self, service: &str) -> Result<Vec<Service>> {
        let service = Some(service.to_owned());
        self.run("registry.get", |member| member.services(service)).await
    }

    async fn list(&self) -> Result<Vec<String>> {
        let services = self.run("registry.list", |member| member.services(None)).await?;
        Ok(services.into_iter().map(|service| service.name).collect::<BTreeSet<_>>().into_iter().collect())
    }

    async fn watch(&self, service: Option<&str>) -> Result<Box<dyn Watch>> {
        let service = service.map(str::to_owned);
        let watched = self.run("registry.watch", |member| member.watch(service)).await?;
        Ok(Box::new(Watching::new(watched, self.running()?.driver)))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Returns each node as a record of its own.
fn records(service: &Service) -> Vec<Service> {
    service.nodes.iter().map(|node| service.with_only(node.clone())).collect()
}

impl Drop for Nats {
    fn drop(&mut self) {
        // A watch may keep the connection open: the nodes go all the same.
        if let Some(running) = self.running.lock().unwrap_or_else(PoisonError::into_inner).take() {
            running.member.leave();
        }
    }
}

impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nats").field("config", &self.config).finish_non_exhaustive()
    }
}
