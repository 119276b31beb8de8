use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use micro_core::registry::Registry;

use crate::Limits;

/// What the suite needs of a plugin.
pub trait Fixture: fmt::Debug + Send + Sync + 'static {
    /// Returns the plugin's name, as it stands in the report: `registry-embedded`.
    fn name(&self) -> &'static str;

    /// Makes another client of the same records: as another process would.
    fn client(&self) -> Arc<dyn Registry>;

    /// Makes a client of other records: of another domain or namespace of the same server, or where there is none, of
    /// another folder.
    fn apart(&self) -> Arc<dyn Registry>;

    /// Returns how long the suite waits.
    fn limits(&self) -> Limits {
        Limits::default()
    }

    /// Returns the time to live that the suite waits out. Default 1 s; longer where a plugin counts more coarsely.
    fn ttl(&self) -> Duration {
        Duration::from_secs(1)
    }
}
