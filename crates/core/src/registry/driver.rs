use std::fmt;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::{Error, Kind, Result};

/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// The one thread of a registry, for plugins: its connections, its leases and its watches live there, whichever runtime a
/// call comes from and whether that one ends or is blocked. Dropped, it ends with all it does.
///
/// # Examples
///
/// ```
/// use micro_core::registry::Driver;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let driver = Driver::start("etcd", std::future::pending(), std::future::ready(()))?;
/// let name = driver.run(async { Ok(std::thread::current().name().map(str::to_owned)) }).await?;
/// assert_eq!(name.as_deref(), Some("micro-registry-etcd"));
/// # Ok::<(), micro_core::Error>(())
/// # }).unwrap();
/// ```
pub struct Driver {
    registry: &'static str,
    handle: Handle,
    _stop: oneshot::Sender<()>,
}

impl Driver {
    /// Starts the thread of a registry of this name. It does `work`. When the driver is dropped it does `farewell` beside
    /// that, for 1 s at most, and ends.
    ///
    /// # Errors
    ///
    /// [`Kind::ResourceExhausted`] if the system gives no thread, or no sockets for it.
    pub fn start(
        registry: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
        farewell: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Self> {
        let failed = |error: std::io::Error| {
            let text = format!("the thread of the {registry} registry cannot be started");
            Error::new(Kind::ResourceExhausted, text).source(error)
        };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let run = move || {
            runtime.block_on(async {
                tokio::spawn(work);
                let _ = stopped.await;
                let _ = timeout(FAREWELL, farewell).await;
            });
            // A name that is looked up holds nobody up.
            runtime.shutdown_background();
        };
        thread::Builder::new().name(format!("micro-registry-{registry}")).spawn(run).map_err(failed)?;
        Ok(Self { registry, handle, _stop: stop })
    }

    /// Runs it there. It is done to its end, also when the caller does not wait for it.
    ///
    /// # Errors
    ///
    /// That of the work, or [`Kind::Internal`] if the work panicked.
    pub async fn run<T: Send + 'static>(&self, work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
        self.handle.spawn(work).await.unwrap_or_else(|error| {
            let text = format!("a call of the {} registry ended without an answer", self.registry);
            Err(Error::new(Kind::Internal, text).source(error))
        })
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("registry", &self.registry).finish_non_exhaustive()
    }
}
