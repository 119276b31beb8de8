use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use micro_core::{Error, Kind, Result};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::keeper::Keeper;

/// How long nodes may take to go when the last handle is dropped; those that are left go with their session.
const FAREWELL: Duration = Duration::from_secs(1);

/// The one thread of a registry. Its session, its nodes and its watches live there, whichever runtime a call comes from and
/// whether that one ends or is blocked. Dropped, it ends with all it does.
pub(crate) struct Driver {
    handle: Handle,
    _stop: oneshot::Sender<()>,
}

impl Driver {
    pub(crate) fn start(keeper: Arc<Keeper>) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::new(Kind::ResourceExhausted, "the thread of the ZooKeeper registry cannot be started").source(error)
        };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let run = move || {
            runtime.block_on(async {
                let keeps = Arc::clone(&keeper);
                tokio::spawn(async move { keeps.run().await });
                let _ = stopped.await;
                let _ = timeout(FAREWELL, keeper.left()).await;
            });
            // A name that is looked up holds nobody up.
            runtime.shutdown_background();
        };
        thread::Builder::new().name("micro-registry-zookeeper".to_owned()).spawn(run).map_err(failed)?;
        Ok(Self { handle, _stop: stop })
    }

    /// Runs it there. It is done to its end, also when the caller does not wait for it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.handle.spawn(work).await.unwrap_or_else(|error| {
            Err(Error::new(Kind::Internal, "a call of the ZooKeeper registry ended without an answer").source(error))
        })
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}
