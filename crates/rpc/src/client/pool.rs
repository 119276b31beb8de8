//! Connections by core and address. A call made on a core finds connections of that core only.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use micro_core::Result;

use super::channel::Channel;
use crate::cores;
use crate::wire::keep_alive::KeepAlive;

#[derive(Debug, Clone)]
pub(super) struct PoolOptions {
    /// How many connections go to an address from a core at most.
    pub(super) connections: usize,
    /// From how many calls at once on each connection another one is opened.
    pub(super) streams: usize,
    pub(super) dial_timeout: Duration,
    pub(super) idle: Duration,
    pub(super) keep_alive: KeepAlive,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            connections: 4,
            streams: 100,
            dial_timeout: Duration::from_secs(5),
            idle: Duration::from_secs(60),
            keep_alive: KeepAlive { interval: Duration::from_secs(20), timeout: Duration::from_secs(5) },
        }
    }
}

pub(super) struct Pools {
    options: Arc<PoolOptions>,
    cores: OnceLock<Box<[Mutex<Channels>]>>,
}

type Channels = HashMap<Arc<str>, Arc<Channel>>;

/// From how many addresses on those without a connection are forgotten.
const MANY: usize = 256;

impl Pools {
    pub(super) fn new(options: PoolOptions) -> Self {
        Self { options: Arc::new(options), cores: OnceLock::new() }
    }

    /// Returns the channel to an address from the core this runs on.
    pub(super) fn channel(&self, address: &str) -> Result<Arc<Channel>> {
        let cores = self.cores.get_or_init(|| (0..cores::count()).map(|_| Mutex::default()).collect());
        let core = cores::current().unwrap_or_default();
        let mut channels = cores[core].lock().unwrap_or_else(PoisonError::into_inner);
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
