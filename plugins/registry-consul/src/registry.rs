use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use micro_core::address::Address;
use micro_core::registry::{Node, Registry, RegistryOptions, Service, Unreadable, Watch, grouped};
use micro_core::{Error, Kind, Result};
use tokio::time::Instant;

use crate::api::{Entry, Listed, Registration};
use crate::catalog::Catalog;
use crate::config::Config;
use crate::convert;
use crate::http::Http;
use crate::watch::Watching;

/// The Consul registry: the services that a Consul agent and its cluster know, in go-micro's format.
///
/// The address is the agent of this machine, `consul://127.0.0.1:8500`, with these parameters:
///
/// | parameter | default | what it does |
/// |---|---|---|
/// | `token` | the address's password, else `CONSUL_HTTP_TOKEN` | sent as X-Consul-Token, and never shown |
/// | `domain` | none: go-micro's own | another world of services; each has the domain and a dot before its name and its ids |
/// | `tls` | `false`; `true` for `consuls://` | speaks TLS |
/// | `ca` | the system's | the authorities, as a PEM file |
/// | `cert`, `key` | none | our certificate and its key, as PEM files |
/// | `verify` | `true` | `false` believes any certificate |
/// | `timeout_ms` | 5000 | how long any call may take |
/// | `wait_ms` | 30000 | how long a watch asks before it asks again |
/// | `stale` | `false` | any server may answer, also one that is behind or has no leader |
///
/// A node is gone when its time to live ends, for its check fails then; Consul itself removes what is left of it a minute
/// later. Registering returns when the catalog lists the node. Registering again what the agent knows passes its check,
/// and tells the catalog nothing.
///
/// What was registered with an agent is deregistered with it too: the agents answer for their own.
///
/// # Examples
///
/// ```no_run
/// use micro_core::address::Address;
/// use micro_core::registry::{Node, Registry, RegistryOptions, Service};
/// use micro_registry_consul::Consul;
/// use std::time::Duration;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let options = RegistryOptions::new().address(Address::parse("consul://127.0.0.1:8500")?);
/// let registry = Consul::with_options(&options)?;
/// let greeter = Service::new("greeter", "latest").node(Node::new("greeter-1", "127.0.0.1:4040"));
/// registry.register(&greeter, Duration::from_secs(90)).await?;
/// assert_eq!(registry.get("greeter").await?, [greeter]);
/// # Ok::<(), micro_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Consul {
    catalog: Arc<Catalog>,
    /// What this client registered, by Consul's id.
    registered: Mutex<HashMap<String, Registered>>,
}

/// What the agent does not tell of a node.
#[derive(Debug, Clone, Copy)]
struct Registered {
    ttl: Duration,
    /// When its check was passed last.
    since: Instant,
}

impl Consul {
    /// Creates a registry on the agent of this machine, `127.0.0.1:8500`. No I/O is done.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`] if `CONSUL_HTTP_TOKEN` is no token.
    pub fn new() -> Result<Self> {
        Self::with_options(&RegistryOptions::new())
    }

    /// Creates a registry with options. No I/O is done.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`] for an address that is not Consul's, or a parameter that is unknown or wrong.
    pub fn with_options(options: &RegistryOptions) -> Result<Self> {
        Self::at(&options.address)
    }

    fn at(address: &Address) -> Result<Self> {
        let http = Http::new(Config::read(address)?);
        Ok(Self { catalog: Arc::new(Catalog::new(http, Unreadable::new("consul"))), registered: Mutex::default() })
    }

    fn http(&self) -> &Http {
        self.catalog.http()
    }

    fn domain(&self) -> &str {
        &self.http().config.domain
    }

    async fn register_node(&self, service: &Service, node: &Node, ttl: Duration) -> Result<()> {
        let wanted = convert::registration(service, node, self.domain(), ttl)?;
        let (now, before) = (Instant::now(), self.known(|known| known.get(&wanted.id).copied()));
        let is = |entry: Option<&Entry>| entry.is_some_and(|entry| entry.service.is(&wanted) && !entry.is_sick());
        if let Some(before) = before.filter(|before| before.ttl == ttl)
            && self.passes(&wanted).await?
        {
            self.known(|known| known.insert(wanted.id.clone(), Registered { ttl, since: now }));
            // One that comes too late was taken off the list meanwhile.
            return match before.since.elapsed() >= ttl {
                true => self.until_listed(&wanted.name, &node.id, is).await,
                false => Ok(()),
            };
        }
        let body = serde_json::to_vec(&wanted)
            .map_err(|error| Error::new(Kind::Encode, format!("the registration of {}: {error}", node.id)))?;
        self.http().put(&["agent", "service", "register"], Some(body)).await?;
        // A check that had failed before has still failed.
        if !self.pass(&wanted.id).await? {
            let text = format!("the agent at {} was told of {} and does not know it", self.address(), node.id);
            return Err(Error::new(
                Kind::Unavailable,
                format!("{text}; was it started again, or is somebody else at it?"),
            ));
        }
        self.known(|known| known.insert(wanted.id.clone(), Registered { ttl, since: now }));
        self.until_listed(&wanted.name, &node.id, is).await
    }

    /// Passes the check of what the agent knows as it is wanted; `false` if it knows it otherwise or not at all, as one
    /// does that was started again.
    async fn passes(&self, wanted: &Registration) -> Result<bool> {
        Ok(self.agents(&wanted.id).await?.is_some_and(|found| found.is(wanted)) && self.pass(&wanted.id).await?)
    }

    /// Passes a check; `false` if the agent has none.
    async fn pass(&self, id: &str) -> Result<bool> {
        let check = format!("service:{id}");
        match self.http().put(&["agent", "check", "pass", &check], None).await {
            Ok(passed) => Ok(passed.is_some()),
            Err(error) if error.detail().contains("does not have associated TTL") => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What the agent itself has under an id.
    async fn agents(&self, id: &str) -> Result<Option<Listed>> {
        let answer = self.http().get(&["agent", "service", id], &[]).await?;
        answer.map(|answer| answer.json(self.http())).transpose()
    }

    /// Waits until the catalog has what its agent was told: the agent tells it by itself, a moment later.
    async fn until_listed(&self, name: &str, id: &str, is: impl Fn(Option<&Entry>) -> bool) -> Result<()> {
        let http = self.http();
        let until = Instant::now() + http.config.timeout;
        let (key, mut index) = (convert::in_domain(self.domain(), id), 0);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let answer = self.catalog.service(name, index, left).await?;
            if is(answer.entries.iter().find(|entry| entry.service.id == key)) {
                return Ok(());
            }
            if left.is_zero() {
                let text = format!(
                    "the agent at {} was told of {id}, and Consul's servers do not list it so within {} s; they will, \
                     once the agent reaches them",
                    http.config.shown(),
                    http.config.timeout.as_secs_f32()
                );
                return Err(Error::new(Kind::Timeout, text));
            }
            // An index that goes back is another server's, or that of one that was started again.
            index = if answer.index < index { 0 } else { answer.index };
        }
    }

    async fn deregister_node(&self, service: &Service, node: &Node) -> Result<()> {
        let (id, name) =
            (convert::in_domain(self.domain(), &node.id), convert::in_domain(self.domain(), &service.name));
        let version = convert::version_tag(&service.version)?;
        match self.agents(&id).await? {
            // A later version may have taken the id over.
            Some(found) if found.service == name && convert::is_version(&found.tags, &service.version, &version) => {}
            _ => return Ok(()),
        }
        self.known(|known| known.remove(&id));
        self.http().put(&["agent", "service", "deregister", &id], None).await?;
        self.until_listed(&name, &node.id, |listed| listed.is_none()).await
    }

    fn known<T>(&self, work: impl FnOnce(&mut HashMap<String, Registered>) -> T) -> T {
        work(&mut self.registered.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Registry for Consul {
    fn name(&self) -> &'static str {
        "consul"
    }

    fn address(&self) -> String {
        self.http().config.shown()
    }

    async fn register(&self, service: &Service, ttl: Duration) -> Result<()> {
        service.check_registration(ttl).map_err(|error| error.operation("registry.register"))?;
        for node in &service.nodes {
            let registered = self.register_node(service, node, ttl).await;
            registered.map_err(|error| error.operation("registry.register"))?;
        }
        Ok(())
    }

    async fn deregister(&self, service: &Service) -> Result<()> {
        for node in &service.nodes {
            let gone = self.deregister_node(service, node).await;
            gone.map_err(|error| error.operation("registry.deregister"))?;
        }
        Ok(())
    }

    async fn get(&self, service: &str) -> Result<Vec<Service>> {
        let found = self.catalog.of(service, 0).await.map_err(|error| error.operation("registry.get"))?;
        Ok(grouped(found.records.into_iter().map(|(_, record)| record)))
    }

    async fn list(&self) -> Result<Vec<String>> {
        self.catalog.names().await.map_err(|error| error.operation("registry.list"))
    }

    async fn watch(&self, service: Option<&str>) -> Result<Box<dyn Watch>> {
        let watching = Watching::begin(Arc::clone(&self.catalog), service).await;
        Ok(Box::new(watching.map_err(|error| error.operation("registry.watch"))?))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
