use std::fmt;
use std::thread;

use micro_core::{Error, Kind, Result};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// The one thread of a registry. Its connections, its leases and its watches live there, whichever runtime a call comes
/// from and whether that one ends or is blocked. Dropped, it ends with all it does.
pub(crate) struct Driver {
    handle: Handle,
    _stop: oneshot::Sender<()>,
}

impl Driver {
    pub(crate) fn start() -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::new(Kind::ResourceExhausted, "the thread of the etcd registry cannot be started").source(error)
        };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            let _ = runtime.block_on(stopped);
            // A name that is looked up holds nobody up.
            runtime.shutdown_background();
        };
        thread::Builder::new().name("micro-registry-etcd".to_owned()).spawn(run).map_err(failed)?;
        Ok(Self { handle, _stop: stop })
    }

    /// Runs it there. It is done to its end, also when the caller does not wait for it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.handle.spawn(work).await.unwrap_or_else(|error| {
            Err(Error::new(Kind::Internal, "a call of the etcd registry ended without an answer").source(error))
        })
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}
