//! Services that were given the same broker share its connection: the last one to stop disconnects it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use micro_core::broker::Broker;
use micro_core::{Error, Kind, Result};
use tokio::time::timeout;

/// Limit of connecting at the start.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);
/// Limit of disconnecting, which first sends what is queued.
const DISCONNECT_LIMIT: Duration = Duration::from_secs(10);

fn users() -> &'static Mutex<HashMap<usize, usize>> {
    static USERS: OnceLock<Mutex<HashMap<usize, usize>>> = OnceLock::new();
    USERS.get_or_init(Mutex::default)
}

fn key(broker: &Arc<dyn Broker>) -> usize {
    Arc::as_ptr(broker).cast::<()>() as usize
}

/// One service's use of a broker, counted until it is dropped.
#[derive(Debug)]
pub(super) struct BrokerUse(Arc<dyn Broker>);

impl BrokerUse {
    /// Connects.
    pub(super) async fn begin(broker: Arc<dyn Broker>) -> Result<Self> {
        *users().lock().unwrap_or_else(PoisonError::into_inner).entry(key(&broker)).or_default() += 1;
        let this = Self(broker);
        let broker = &this.0;
        timeout(CONNECT_LIMIT, broker.connect()).await.unwrap_or_else(|_| {
            let text = format!("the broker {} did not answer within {CONNECT_LIMIT:?}; is it up?", broker.name());
            Err(Error::new(Kind::Timeout, text).with("address", broker.address()))
        })?;
        tracing::info!("Broker [{}] Connected to {}", broker.name(), broker.address());
        Ok(this)
    }

    /// Disconnects, unless another service of the process still uses it.
    pub(super) async fn end(self) -> Result<()> {
        let broker = Arc::clone(&self.0);
        drop(self);
        if users().lock().unwrap_or_else(PoisonError::into_inner).contains_key(&key(&broker)) {
            return Ok(());
        }
        let address = broker.address();
        let done = timeout(DISCONNECT_LIMIT, broker.disconnect()).await.unwrap_or_else(|_| {
            let text = format!(
                "the broker {} did not take what was queued within {DISCONNECT_LIMIT:?}; publishes whose receipt is missing may be lost",
                broker.name()
            );
            Err(Error::new(Kind::Timeout, text).with("address", &address))
        });
        tracing::info!("Broker [{}] Disconnected from {address}", broker.name());
        done
    }
}

impl Drop for BrokerUse {
    fn drop(&mut self) {
        let mut users = users().lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = users.get_mut(&key(&self.0)) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                users.remove(&key(&self.0));
            }
        }
    }
}
