use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use micro_core::registry::{Registry, RegistryOptions, Service, Unreadable, Watch, grouped};
use micro_core::{Error, Kind, Result};

use crate::config::{Config, Source};
use crate::file;
use crate::watch::Watching;

/// A fixed list of nodes: for tests, for small sets of machines, and where something else writes the file.
///
/// The list is in the address, `static://greeter=10.0.0.1:9001,10.0.0.2:9001;users=10.0.0.3:9003`, or in a file,
/// `static://?file=/etc/nodes.json`:
///
/// | parameter | default | what it does |
/// |---|---|---|
/// | `version` | `latest` | the version of all services of a list in the address |
/// | `file` | none | `.json` or `.toml` with go-micro's records, as an array or under `services`; a node needs no id |
/// | `interval_ms` | 1000 | how often a watch looks whether the file has changed |
///
/// **Nothing is registered.** `register` and `deregister` check what they are given, answer `Ok` so that a service can
/// start, and change no list; the first time the log says so. Whoever is to be found has to be listed.
///
/// A file that is not there or cannot be read is an error of `get` and `list`, and ends a watch: the
/// [`Cache`](micro_core::registry::Cache) goes on with what it knew, until the file can be read again.
///
/// # Examples
///
/// ```
/// use micro_core::address::Address;
/// use micro_core::registry::{Registry, RegistryOptions};
/// use micro_registry_static::Static;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let address = Address::parse("static://greeter=10.0.0.1:9001,10.0.0.2:9001;users=10.0.0.3:9003")?;
/// let registry = Static::with_options(&RegistryOptions::new().address(address))?;
/// assert_eq!(registry.list().await?, ["greeter", "users"]);
/// assert_eq!(registry.get("greeter").await?[0].nodes.len(), 2);
/// # Ok::<(), micro_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Static {
    list: Arc<List>,
    told: AtomicBool,
}

/// What is listed now.
#[derive(Debug)]
pub(crate) struct List {
    pub(crate) config: Config,
    unreadable: Unreadable,
}

impl List {
    /// Returns the records of one service or of all, sorted.
    pub(crate) async fn read(self: &Arc<Self>, service: Option<&str>) -> Result<Vec<Service>> {
        let services = match &self.config.source {
            Source::Address(services) => services.clone(),
            Source::File { path, format } => {
                let (list, path, format) = (Arc::clone(self), path.clone(), *format);
                let read = tokio::task::spawn_blocking(move || file::read(&path, format, &list.unreadable)).await;
                read.map_err(|error| {
                    Error::new(Kind::Internal, "reading the static list was broken off").source(error)
                })??
            }
        };
        Ok(grouped(services.into_iter().filter(|found| service.is_none_or(|name| found.name == name))))
    }
}

impl Static {
    /// Creates a registry with options. No I/O is done.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`] for an address without a list, or one that is written wrongly.
    pub fn with_options(options: &RegistryOptions) -> Result<Self> {
        let config = Config::read(&options.address)?;
        let list = List { config, unreadable: Unreadable::new("static") };
        Ok(Self { list: Arc::new(list), told: AtomicBool::new(false) })
    }
}

#[async_trait]
impl Registry for Static {
    fn name(&self) -> &'static str {
        "static"
    }

    fn address(&self) -> String {
        self.list.config.shown().to_owned()
    }

    async fn register(&self, service: &Service, ttl: Duration) -> Result<()> {
        service.check_registration(ttl).map_err(|error| error.operation("registry.register"))?;
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                service = service.name,
                list = self.list.config.shown(),
                "a static registry registers nothing; whoever is to be found has to be in its list"
            );
        }
        Ok(())
    }

    async fn deregister(&self, _service: &Service) -> Result<()> {
        Ok(())
    }

    async fn get(&self, service: &str) -> Result<Vec<Service>> {
        self.list.read(Some(service)).await.map_err(|error| error.operation("registry.get"))
    }

    async fn list(&self) -> Result<Vec<String>> {
        let services = self.list.read(None).await.map_err(|error| error.operation("registry.list"))?;
        let mut names: Vec<_> = services.into_iter().map(|service| service.name).collect();
        names.dedup();
        Ok(names)
    }

    async fn watch(&self, service: Option<&str>) -> Result<Box<dyn Watch>> {
        let watching = Watching::begin(Arc::clone(&self.list), service).await;
        Ok(Box::new(watching.map_err(|error| error.operation("registry.watch"))?))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
