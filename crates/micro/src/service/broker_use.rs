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

/// One service's use of a broker.
#[derive(Debug)]
pub(super) struct BrokerUse(Arc<dyn Broker>);

impl BrokerUse {
    /// Connects.
    pub(super) async fn begin(broker: Arc<dyn Broker>) -> Result<Self> {
        *users().lock().unwrap_or_else(PoisonError::into_inner).entry(key(&broker)).or_default() += 1;
        let connected = timeout(CONNECT_LIMIT, broker.connect()).await.unwrap_or_else(|_| {
            let text = format!("the broker {} did not answer within {CONNECT_LIMIT:?}; is it up?", broker.name());
            Err(Error::new(Kind::Timeout, text).with("address", broker.address()))
        });
        let this = Self(broker);
        match connected {
            Ok(()) => {
                tracing::info!("Broker [{}] Connected to {}", this.0.name(), this.0.address());
                Ok(this)
            }
            Err(error) => {
                this.leave();
                Err(error)
            }
        }
    }

    /// Disconnects, unless another service of the process still uses it.
    pub(super) async fn end(self) -> Result<()> {
        if self.leave() > 0 {
            return Ok(());
        }
        let broker = self.0;
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

    /// Returns how many use it still.
    fn leave(&self) -> usize {
        let mut users = users().lock().unwrap_or_else(PoisonError::into_inner);
        let left = users.get(&key(&self.0)).map_or(0, |count| count.saturating_sub(1));
        if left == 0 {
            users.remove(&key(&self.0));
        } else {
            users.insert(key(&self.0), left);
        }
        left
    }
}
