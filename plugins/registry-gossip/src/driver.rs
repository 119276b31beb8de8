use std::fmt;
use std::sync::Arc;
use std::thread;

use micro_core::{Error, Kind, Result};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::config::Config;
use crate::member::Member;

/// A member and its one thread, whichever runtime a call comes from and whether that one ends or is blocked. Dropped, it says
/// farewell and ends.
pub(crate) struct Driver {
    handle: Handle,
    pub(crate) member: Arc<Member>,
    stop: oneshot::Sender<()>,
}

impl Driver {
    /// Starts the thread, and returns when its member listens.
    pub(crate) async fn start(config: Config) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::new(Kind::ResourceExhausted, "the thread of the gossip registry cannot be started").source(error)
        };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let (begun, begins) = oneshot::channel();
        let run = move || {
            runtime.block_on(async {
                match Member::begin(config).await {
                    Ok(member) => {
                        let member = Closing(Arc::new(member));
                        if begun.send(Ok(Arc::clone(&member.0))).is_ok() {
                            live(&member.0, stopped).await;
                        }
                    }
                    Err(error) => drop(begun.send(Err(error))),
                }
            });
            // A name that is looked up holds nobody up.
            runtime.shutdown_background();
        };
        thread::Builder::new().name("micro-registry-gossip".to_owned()).spawn(run).map_err(failed)?;
        let member =
            begins.await.map_err(|_| Error::new(Kind::Internal, "the thread of the gossip registry died"))??;
        Ok(Self { handle, member, stop })
    }

    /// Tells whether its thread has ended, which only a broken socket or a mistake makes it do.
    pub(crate) fn is_over(&self) -> bool {
        self.stop.is_closed()
    }

    /// Runs it there. It is done to its end, also when the caller does not wait for it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.handle.spawn(work).await.unwrap_or_else(|error| {
            Err(Error::new(Kind::Unavailable, "the member of the gossip registry ended amid a call; try again")
                .source(error))
        })
    }
}

async fn live(member: &Arc<Member>, stopped: oneshot::Receiver<()>) {
    tokio::select! {
        _ = stopped => member.farewell().await,
        () = member.follow() => {}
        ended = member.ended() => {
            tracing::warn!(?ended, "the member of the gossip registry ended; the next call begins it anew");
        }
    }
}

/// Ends the watches, also when the thread dies.
struct Closing(Arc<Member>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}
