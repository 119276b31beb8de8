use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use micro_core::registry::{Registry, RegistryOptions, Service, Watch};
use micro_core::{Error, Result};

use crate::config::Config;
use crate::lookup::Names;
use crate::watch::Watching;

/// Services found by DNS.
///
/// The address names the servers by IP, `dns://10.0.0.10:53`, or none for those of the system:
///
/// | parameter | default | what it does |
/// |---|---|---|
/// | `domain` | none | what comes behind the name of a service: `svc.cluster.local`, `service.consul` |
/// | `prefix` | none | what comes before it: `_grpc._tcp` |
/// | `record` | `srv` | `srv`, or `a` for A and AAAA |
/// | `port` | none | the port of all nodes, for `record=a` |
/// | `version` | `latest` | the version of all services: DNS knows none |
/// | `timeout_ms` | 5000 | how long it may take to find a service |
/// | `min_ttl_ms`, `max_ttl_ms` | 1000, 60000 | no answer is believed for a shorter or a longer time, whatever it says |
///
/// A name that is not there is a service without nodes; an answer that failed is an error, so that the
/// [`Cache`](micro_core::registry::Cache) goes on with what it knew. A watch asks again when an answer is too old. Of
/// SRV records those with the best priority are taken; their weight is in the metadata `weight`.
///
/// **Nothing is registered**, and nobody can list what DNS has: `register` and `deregister` check what they are given,
/// answer `Ok` so that a service can start, and tell nobody; the first time the log says so. `list`, and a watch of all
/// services, are [`Kind::Unsupported`](micro_core::Kind::Unsupported).
///
/// # Examples
///
/// ```
/// use micro_core::address::Address;
/// use micro_core::registry::{Registry, RegistryOptions};
/// use micro_registry_dns::Dns;
///
/// let address = Address::parse("dns://10.0.0.10:53/?domain=svc.cluster.local&record=a&port=9090")?;
/// let registry = Dns::with_options(&RegistryOptions::new().address(address))?;
/// assert_eq!(registry.name(), "dns");
/// # Ok::<(), micro_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Dns {
    names: Arc<Names>,
    told: AtomicBool,
}

impl Dns {
    /// Creates a registry with options. No I/O is done.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`](micro_core::Kind::Config) for an address that is not DNS's, or a parameter that is unknown or
    /// wrong.
    pub fn with_options(options: &RegistryOptions) -> Result<Self> {
        let names = Names::new(Config::read(&options.address)?);
        Ok(Self { names: Arc::new(names), told: AtomicBool::new(false) })
    }
}

#[async_trait]
impl Registry for Dns {
    fn name(&self) -> &'static str {
        "dns"
    }

    fn address(&self) -> String {
        self.names.config.shown().to_owned()
    }

    async fn register(&self, service: &Service, ttl: Duration) -> Result<()> {
        service.check_registration(ttl).map_err(|error| error.operation("registry.register"))?;
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                service = service.name,
                servers = self.names.config.shown(),
                "DNS is only read, and nothing is registered by it; who keeps the zone has to list this service"
            );
        }
        Ok(())
    }

    async fn deregister(&self, _service: &Service) -> Result<()> {
        Ok(())
    }

    async fn get(&self, service: &str) -> Result<Vec<Service>> {
        let found = self.names.find(service).await.map_err(|error| error.operation("registry.get"))?;
        Ok(found.service.into_iter().collect())
    }

    async fn list(&self) -> Result<Vec<String>> {
        Err(Error::unsupported("dns", "listing all services: DNS answers only who knows a name")
            .operation("registry.list"))
    }

    async fn watch(&self, service: Option<&str>) -> Result<Box<dyn Watch>> {
        let Some(service) = service else {
            let error = Error::unsupported("dns", "watching all services: DNS answers only who knows a name");
            return Err(error.operation("registry.watch"));
        };
        let watching = Watching::begin(Arc::clone(&self.names), service).await;
        Ok(Box::new(watching.map_err(|error| error.operation("registry.watch"))?))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
