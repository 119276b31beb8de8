use std::any::Any;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use micro_core::address::Address;
use micro_core::registry::{Registry, RegistryOptions, Service, Watch};
use micro_core::{Error, Kind, Result};
use tokio::sync::Mutex;

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
/// A folder that is moved or removed under a running program is an outage: calls fail and watches end, with
/// [`Kind::Unavailable`], until it is back or can be made anew. Then whoever registers again is found again.
///
/// A dropped registry leaves its nodes to the process: they go with the last registry and the last watch that the process
/// has on the folder.
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
    folder: Mutex<Option<Arc<Folder>>>,
}

impl Embedded {
    /// Creates a registry on `MICRO_HOME`, else `~/.micro`. No I/O is done.
    #[must_use]
    pub fn new() -> Self {
        Self { address: Address::default(), folder: Mutex::default() }
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
        Ok(Self { address: options.address, folder: Mutex::default() })
    }

    /// Creates a registry on a folder. No I/O is done.
    #[must_use]
    pub fn at(folder: impl AsRef<Path>) -> Self {
        let folder = folder.as_ref().to_string_lossy();
        let address = Address::parse(&format!("embedded://{folder}")).unwrap_or_default();
        Self { address, folder: Mutex::default() }
    }

    /// Returns the folder: opened at first, and anew when another one lies in its place or its writer is gone.
    async fn folder(&self) -> Result<Arc<Folder>> {
        let mut open = self.folder.lock().await;
        if let Some(folder) = open.as_ref().filter(|folder| folder.serves()) {
            return Ok(Arc::clone(folder));
        }
        let path = config::folder(&self.address)?;
        // One that is not there stays open until there is another: it may come back.
        let folder = blocking(move || Folder::open(&path)).await?;
        *open = Some(Arc::clone(&folder));
        Ok(folder)
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
        let (folder, service) = (self.folder().await?, service.to_owned());
        Ok(blocking(move || folder.read(Some(&service))).await?.services(None))
    }

    async fn list(&self) -> Result<Vec<String>> {
        let folder = self.folder().await?;
        Ok(blocking(move || folder.read(None)).await?.names())
    }

    async fn watch(&self, service: Option<&str>) -> Result<Box<dyn Watch>> {
        let folder = self.folder().await?;
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
