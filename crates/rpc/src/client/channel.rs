//! The connections from one runtime to one address.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use http::uri::Authority;
use micro_core::{Error, Kind, Result};

use super::connection::{self, Connection, Lease};
use super::pool::PoolOptions;
use crate::wire::status::CLIENT;

pub(super) struct Channel {
    pub(super) address: Arc<str>,
    pub(super) authority: Authority,
    options: Arc<PoolOptions>,
    state: Mutex<State>,
    dials: AtomicU64,
}

#[derive(Default)]
struct State {
    connections: Vec<Arc<Connection>>,
    dial: Option<Dial>,
}

/// A connection on its way, awaited by all calls that need it.
type Dial = Shared<BoxFuture<'static, Result<Arc<Connection>, Arc<Error>>>>;

impl Channel {
    pub(super) fn new(address: Arc<str>, options: Arc<PoolOptions>) -> Result<Self> {
        let authority = Authority::try_from(&*address).ok().filter(|authority| authority.port().is_some());
        let authority = authority.ok_or_else(|| {
            Error::new(Kind::InvalidArgument, format!("the node address {address:?} is none; it must be host:port"))
                .id(CLIENT)
        })?;
        Ok(Self { address, authority, options, state: Mutex::default(), dials: AtomicU64::new(0) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whether nothing is open or on its way.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.state();
        state.connections.is_empty() && state.dial.is_none()
    }

    /// Returns a place on a connection, opening one if none has room.
    pub(super) async fn lease(self: &Arc<Self>) -> Result<Lease> {
        let dial = {
            let mut state = self.state();
            let fit = state.connections.iter().filter(|connection| connection.is_fit());
            let (best, fit) = fit.fold((None::<&Arc<Connection>>, 0), |(best, count), connection| {
                let best = best.filter(|best| best.in_flight() <= connection.in_flight()).or(Some(connection));
                (best, count + 1)
            });
            match best {
                Some(best) => {
                    let lease = best.lease();
                    // Ahead of the need, so that no call waits for it: those to come find room, and this one has it.
                    if best.is_nearly_full(self.options.streams)
                        && fit < self.options.connections
                        && state.dial.is_none()
                    {
                        state.dial = Some(self.dial());
                    }
                    return Ok(lease);
                }
                None => state.dial.get_or_insert_with(|| self.dial()).clone(),
            }
        };
        match dial.await {
            Ok(connection) => Ok(connection.lease()),
            Err(error) => Err(error.duplicate()),
        }
    }

    /// Begins to connect. It goes on when nobody waits any longer.
    fn dial(self: &Arc<Self>) -> Dial {
        let dialing = Dialing(self.clone());
        let number = self.dials.fetch_add(1, Ordering::Relaxed);
        let task = tokio::spawn(async move {
            let channel = &dialing.0;
            let opened = connection::open(channel, &channel.options, number).await;
            opened.inspect(|connection| channel.state().connections.push(connection.clone())).map_err(Arc::new)
        });
        async move {
            task.await.unwrap_or_else(|_| {
                let text = "connecting was given up, because the runtime of the caller ends";
                Err(Arc::new(Error::new(Kind::Unavailable, text).id(CLIENT)))
            })
        }
        .boxed()
        .shared()
    }

    /// Forgets a connection.
    pub(super) fn remove(&self, connection: &Connection) {
        self.state().connections.retain(|one| one.number() != connection.number());
    }
}

/// A dial under way. However it ends, the next call that needs a connection begins another.
struct Dialing(Arc<Channel>);

impl Drop for Dialing {
    fn drop(&mut self) {
        self.0.state().dial = None;
    }
}
