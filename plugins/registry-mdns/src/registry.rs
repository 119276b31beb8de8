use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use micro_core::registry::{Registry, RegistryOptions, Service, Watch};
use micro_core::{Error, Kind, Result};
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::config::Config;
use crate::driver::{self, Command};
use crate::watch::MdnsWatch;

/// How long the plugin's own thread may take beyond the time that an answer is waited for.
const THREAD_LIMIT: Duration = Duration::from_secs(5);

/// The mDNS registry. Clones share their records and their sockets.
///
/// The address is the group, `mdns://224.0.0.251:5353` unless given, with these parameters:
///
/// | parameter | default | means |
/// |---|---|---|
/// | `domain` | `micro` | the last label of every name; another one is another world |
/// | `interface` | all, the loopback too | the name or the IPv4 address of the one to use |
/// | `ttl` | 120 | seconds for which others believe a record |
/// | `timeout` | 100 | milliseconds for which answers are gathered |
/// | `interval` | 10 | seconds between two questions for a watched service |
///
/// The first [`get`](Registry::get) of a service waits the whole `timeout`, because nobody knows how many nodes will
/// answer; within `interval` the next is answered from memory, kept true by announcements. A node is answered for until
/// the time to live it was registered with is over, then a farewell is sent.
///
/// # Examples
///
/// ```no_run
/// use micro_core::registry::Registry;
/// use micro_registry_mdns::Mdns;
///
/// # async fn run() -> micro_core::Result<()> {
/// let registry = Mdns::new();
/// for service in registry.get("greeter").await? {
///     println!("{} {:?}", service.version, service.nodes);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Mdns(Arc<Inner>);

struct Inner {
    config: Config,
    thread: Mutex<Option<mpsc::Sender<Command>>>,
}

impl Mdns {
    /// Creates the registry of go-micro's own group; does no I/O.
    ///
    /// # Panics
    ///
    /// Never: the defaults are right.
    #[must_use]
    pub fn new() -> Self {
        Self::with_options(&RegistryOptions::new()).expect("the defaults are right")
    }

    /// Creates the registry of an address; does no I/O.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`] naming the parameter or the group that is wrong.
    pub fn with_options(options: &RegistryOptions) -> Result<Self> {
        Ok(Self(Arc::new(Inner { config: Config::new(options)?, thread: Mutex::new(None) })))
    }

    async fn thread(&self) -> Result<mpsc::Sender<Command>> {
        let mut thread = self.0.thread.lock().await;
        if let Some(running) = thread.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(running.clone());
        }
        let sender = driver::start(self.0.config.clone()).await?;
        *thread = Some(sender.clone());
        Ok(sender)
    }

    async fn call<T>(&self, command: impl FnOnce(oneshot::Sender<Result<T>>) -> Command) -> Result<T> {
        let gone = || Error::new(Kind::Unavailable, "the thread of the mDNS registry ended; try again");
        let (answer, answered) = oneshot::channel();
        let thread = self.thread().await?;
        thread.send(command(answer)).await.map_err(|_| gone())?;
        match tokio::time::timeout(self.0.config.timeout + THREAD_LIMIT, answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(gone()),
            Err(_) => {
                Err(Error::new(Kind::Timeout, format!("the mDNS registry did not answer within {THREAD_LIMIT:?}")))
            }
        }
    }

    fn name_failure<T>(&self, operation: &'static str, result: Result<T>) -> Result<T> {
        result.map_err(|error| match error.context("group") {
            Some(_) => error.operation(operation),
            None => error.operation(operation).with("group", self.0.config.group),
        })
    }
}

impl Default for Mdns {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Mdns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mdns").field(&self.0.config).finish()
    }
}

#[async_trait]
impl Registry for Mdns {
    fn name(&self) -> &'static str {
        "mdns"
    }

    fn address(&self) -> String {
        self.0.config.group.to_string()
    }

    async fn register(&self, service: &Service, ttl: Duration) -> Result<()> {
        let service = service.clone();
        let result = self.call(|answer| Command::Register { service, ttl, answer }).await;
        self.name_failure("registry.register", result)
    }

    async fn deregister(&self, service: &Service) -> Result<()> {
        if self.0.thread.lock().await.is_none() {
            return Ok(());
        }
        let service = service.clone();
        let result = self.call(|answer| Command::Deregister { service, answer }).await;
        self.name_failure("registry.deregister", result)
    }

    async fn get(&self, service: &str) -> Result<Vec<Service>> {
        let service = service.to_owned();
        let result = self.call(|answer| Command::Get { service, answer }).await;
        self.name_failure("registry.get", result)
    }

    async fn list(&self) -> Result<Vec<String>> {
        let result = self.call(|answer| Command::List { answer }).await;
        self.name_failure("registry.list", result)
    }

    async fn watch(&self, service: Option<&str>) -> Result<Box<dyn Watch>> {
        let (changes, watch) = MdnsWatch::new();
        let service = service.map(str::to_owned);
        let result = self.call(|answer| Command::Watch { service, changes, answer }).await;
        self.name_failure("registry.watch", result)?;
        Ok(Box::new(watch))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
