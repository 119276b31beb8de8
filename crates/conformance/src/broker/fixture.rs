use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use micro_core::broker::Broker;

/// What the suite needs of a plugin.
pub trait Fixture: fmt::Debug + Send + Sync + 'static {
    /// Returns the plugin's name, as it stands in the report. One plugin may have several, as one a dialect.
    fn name(&self) -> &'static str;

    /// Makes another client of the same server, not connected: as another process would.
    fn client(&self) -> Arc<dyn Broker>;

    /// Returns how long the suite waits.
    fn limits(&self) -> Limits {
        Limits::default()
    }
}

/// How long the suite waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// For what must come.
    pub present: Duration,
    /// For what must not come.
    pub absent: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { present: Duration::from_secs(15), absent: Duration::from_millis(300) }
    }
}

impl Limits {
    /// Sets how long it waits for what must come. Default 15 s.
    #[must_use]
    pub fn present(mut self, limit: Duration) -> Self {
        self.present = limit;
        self
    }

    /// Sets how long it waits for what must not come. Default 300 ms.
    #[must_use]
    pub fn absent(mut self, window: Duration) -> Self {
        self.absent = window;
        self
    }
}
