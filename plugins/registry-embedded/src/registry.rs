use std::any::Any;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use micro_core::address::Address;
use micro_core::registry::{Registry, RegistryOptions, Service, Watch};
use micro_core::{Error, Kind, Result};
use tokio::sync::OnceCell;

use crate::config;
use crate::folder::Folder;
use crate::job::What;
use crate::watch::Watching;

/// The embedded registry: the services of one machine, in a folder that all processes of a user share.
///
/// The address is the folder, `embedded:///var/lib/app`, or nothing for `MICRO_HOME`, else `~/.micro`. A node is gone when
/// its time to live ends, when it is deregistered, or when the process that registered it is dead: a watch hears of
/// that within a quarter of a second.
///
/// # Examples
///
/// ```
/// use micro_core::registry::{Node, Registry, Service};
/// use micro_registry_embedded::Embedded;
/// use std::time::Duration;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let folder = tempfile::tempdir().unwrap();
/// # let folder = folder.path();
/// let registry = Embedded::at(folder);
/// let greeter = Service::new("greeter", "latest").node(Node::new("greeter-1", "127.0.0.1:4040"));
/// registry.register(&greeter, Duration::from_secs(90)).await?;
/// assert_eq!(registry.get("greeter").await?, [greeter]);
/// # Ok::<(), micro_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Embedded {
    address: Address,
    folder: OnceCell<Arc<Folder>>,
}

impl Embedded {
    /// Creates a registry on `MICRO_HOME`, else `~/.micro`. No I/O is done.
    #[must_use]
    pub fn new() -> Self {
        Self { address: Address::default(), folder: OnceCell::new() }
    }

    /// Creates a registry with options. No I/O is done.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`] for an address that is not the embedded registry's.
    pub fn with_options(options: RegistryOptions) -> Result<Self> {
        if options.address != Address::default() {
            config::folder(&options.address)?;
        }
        Ok(Self { address: options.address, folder: OnceCell::new() })
    }

    /// Creates a registry on a folder. No I/O is done.
    #[must_use]
    pub fn at(folder: impl AsRef<Path>) -> Self {
        let folder = folder.as_ref().to_string_lossy();
        let address = Address::parse(&format!("embedded://{folder}")).unwrap_or_default();
        Self { address, folder: OnceCell::new() }
    }

    async fn folder(&self) -> Result<&Arc<Folder>> {
        self.folder
            .get_or_try_init(|| async {
                let path = config::folder(&self.address)?;
                blocking(move || Folder::open(&path)).await
            })
            .await
    }
}

impl Default for Embedded {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Registry for Embedded {
    fn name(&self) -> &'static str {
        "embedded"
    }

    fn address(&self) -> String {
        config::folder(&self.address).map_or_else(|_| "~/.micro".to_owned(), |folder| folder.display().to_string())
    }

    async fn register(&self, service: &Service, ttl: Duration) -> Result<()> {
        service.check_registration(ttl).map_err(|error| error.operation("registry.register"))?;
        self.folder().await?.write(What::Register(service.clone(), ttl)).await
    }

    async fn deregister(&self, service: &Service) -> Result<()> {
        self.folder().await?.write(What::Deregister(service.clone())).await
    }

    async fn get(&self, service: &str) -> Result<Vec<Service>> {
        let (folder, service) = (Arc::clone(self.folder().await?), service.to_owned());
        Ok(blocking(move || folder.read(Some(&service))).await?.services(None))
    }

    async fn list(&self) -> Result<Vec<String>> {
        let folder = Arc::clone(self.folder().await?);
        Ok(blocking(move || folder.read(None)).await?.names())
    }

    async fn watch(&self, service: Option<&str>) -> Result<Box<dyn Watch>> {
        let folder = Arc::clone(self.folder().await?);
        let theirs = Arc::clone(&folder);
        let receiver = blocking(move || theirs.watch()).await?;
        Ok(Box::new(Watching::new(service, receiver, folder)))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Runs what waits for the disk where it keeps nobody else from working.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::new(Kind::Internal, "the embedded registry was broken off").source(error))?
}
