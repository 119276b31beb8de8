//! Connections by runtime and address. Each core is a runtime, and a caller may have one of its own: a call finds the
//! connections of the runtime it is made on, so that nothing of it crosses to another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use micro_core::Result;
use micro_tls::Connector;
use tokio::runtime::{Handle, Id};

use super::channel::Channel;
use crate::cores;
use crate::wire::keep_alive::KeepAlive;

#[derive(Debug, Clone)]
pub(super) struct PoolOptions {
    /// How many connections go to an address from a runtime at most.
    pub(super) connections: usize,
    /// From how many calls at once on each connection another one is opened.
    pub(super) streams: usize,
    pub(super) dial_timeout: Duration,
    pub(super) idle: Duration,
    pub(super) keep_alive: KeepAlive,
    pub(super) tls: Option<Arc<Connector>>,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            connections: 4,
            streams: 100,
            dial_timeout: Duration::from_secs(5),
            idle: Duration::from_secs(60),
            keep_alive: KeepAlive { interval: Duration::from_secs(20), timeout: Duration::from_secs(5) },
            tls: None,
        }
    }
}

pub(super) struct Pools {
    options: Arc<PoolOptions>,
    /// By number, found without a search.
    cores: OnceLock<Box<[Mutex<Channels>]>>,
    /// Of callers' own runtimes.
    others: RwLock<HashMap<Id, Arc<Mutex<Channels>>>>,
}

type Channels = HashMap<Arc<str>, Arc<Channel>>;

/// From how many addresses on those without a connection are forgotten.
const MANY: usize = 256;

impl Pools {
    pub(super) fn new(options: PoolOptions) -> Self {
        Self { options: Arc::new(options), cores: OnceLock::new(), others: RwLock::default() }
    }

    /// Tells whether its connections speak TLS.
    pub(super) fn is_secure(&self) -> bool {
        self.options.tls.is_some()
    }

    /// Returns the channel to an address from the runtime this runs on.
    pub(super) fn channel(&self, address: &str) -> Result<Arc<Channel>> {
        match cores::current() {
            Some(core) => {
                let cores = self.cores.get_or_init(|| (0..cores::count()).map(|_| Mutex::default()).collect());
                self.find(&cores[core], address)
            }
            None => self.find(&self.other(Handle::current().id()), address),
        }
    }

    fn other(&self, runtime: Id) -> Arc<Mutex<Channels>> {
        if let Some(channels) = self.others.read().unwrap_or_else(PoisonError::into_inner).get(&runtime) {
            return channels.clone();
        }
        let mut others = self.others.write().unwrap_or_else(PoisonError::into_inner);
        // A runtime that ended has taken its connections with it.
        others.retain(|_, channels| {
            let channels = channels.lock().unwrap_or_else(PoisonError::into_inner);
            channels.values().any(|channel| !channel.is_idle())
        });
        others.entry(runtime).or_default().clone()
    }

    fn find(&self, channels: &Mutex<Channels>, address: &str) -> Result<Arc<Channel>> {
        let mut channels = channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = channels.get(address) {
            return Ok(channel.clone());
        }
        if channels.len() >= MANY {
            channels.retain(|_, channel| !channel.is_idle());
        }
        let channel = Arc::new(Channel::new(address.into(), self.options.clone())?);
        channels.insert(address.into(), channel.clone());
        Ok(channel)
    }
}
