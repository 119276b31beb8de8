use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use micro_core::registry::{Registry, Service};

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

    /// Makes a client of an address with the password `secret` where no registry can be, so that every call fails; `None`
    /// where a plugin takes no address.
    fn nobody(&self) -> Option<Arc<dyn Registry>> {
        None
    }

    /// Returns another process, not started yet, whose nodes [`client`](Self::client) finds; `None` where the records are
    /// those of one process. [`Child`](super::Child) is one.
    fn process(&self) -> Option<Box<dyn Process>> {
        None
    }

    /// Returns records that one case has for itself and that can be taken away; `None` where they cannot. It is also made
    /// only to see whether there is one, so that it should cost little until a client is used.
    fn outage(&self) -> Option<Arc<dyn Outage>> {
        None
    }

    /// Returns how long the suite waits.
    fn limits(&self) -> Limits {
        Limits::default()
    }

    /// Returns the time to live that the suite waits out. Default 1 s; longer where a plugin counts more coarsely.
    fn ttl(&self) -> Duration {
        Duration::from_secs(1)
    }
}

/// Another process. Every method may block; one that cannot do its work panics.
pub trait Process: fmt::Debug + Send {
    /// Starts it: it registers the record for this time to live and again long before that ends. Returns when the first
    /// registration is done.
    fn start(&mut self, service: &Service, ttl: Duration);

    /// Kills it without a warning, as SIGKILL does.
    fn kill(&mut self);
}

/// Records that a case has for itself, and that can be taken away from those who use them. Every method may block; one
/// that cannot do its work panics.
///
/// What an outage is differs, and a fixture does what is real for its plugin: a server that is killed, a folder that is
/// moved away, a network that is cut in two.
pub trait Outage: fmt::Debug + Send + Sync + 'static {
    /// Makes a client that the outage hits.
    fn client(&self) -> Arc<dyn Registry>;

    /// Returns a client on the other side, that goes on while the others are cut off. Asked for anew after each change.
    fn elsewhere(&self) -> Arc<dyn Registry>;

    /// Takes the records away from the clients.
    fn cut(&self);

    /// Ends the outage; the records are those of the other side.
    fn heal(&self);

    /// Ends the outage, and nothing is left of what was registered before or during it. Where nobody keeps records for
    /// others this is [`heal`](Self::heal).
    fn restart(&self);

    /// Tells whether a client is told by errors that the registry is away. A network without a server only falls silent.
    fn is_told(&self) -> bool {
        true
    }
}
