//! Which nodes a service has, and where they are.

mod cache;
mod driver;
mod listing;
mod memory;
mod multi;
mod record;
mod told;
mod unreadable;

use std::any::Any;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

pub use cache::{Cache, Known};
pub use driver::Driver;
pub use listing::{Listing, grouped};
pub use memory::Memory;
pub use multi::Multi;
pub use record::{Endpoint, Node, Service, Value};
pub use told::Told;
pub use unreadable::Unreadable;

use crate::Result;
use crate::address::Address;

/// How a registry reaches its server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegistryOptions {
    /// The servers, the account and the plugin's own parameters.
    pub address: Address,
}

impl RegistryOptions {
    /// Creates options with nothing set: the plugin's default address.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the address.
    #[must_use]
    pub fn address(mut self, address: Address) -> Self {
        self.address = address;
        self
    }
}

/// What changed in the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// Everything there is: the first thing a watch says, and again after it lost its connection. What it does not list
    /// is gone.
    State(Vec<Service>),
    /// Nodes were added; the record holds only those.
    Create(Service),
    /// Nodes changed; the record holds only those.
    Update(Service),
    /// Nodes are gone, by deregistration or because their time to live ended; the record holds only those.
    Delete(Service),
}

/// Keeps the records of running nodes; one implementation is one registry plugin.
///
/// A record is one version of a service with some of its nodes ([`Service`]). Registering the same node again refreshes
/// its time to live, and updates it. Implementations are shared and do no I/O when made.
///
/// # What every plugin keeps
///
/// - **What can be registered** is said by [`Service::check_registration`]: a record with a name and nodes with ids, for
///   a time to live. Anything else is [`Kind::InvalidArgument`](crate::Kind::InvalidArgument), and nothing of it is kept.
///   There is no time to live that never ends: whoever wants to stay registers again.
/// - **A node is in one version at a time.** Registered in another, it moves there. Deregistering takes it away only from
///   the version that the record names, so that an old program that stops late does not take a newer one off the list.
/// - **Of two nodes of one id** in a version the last that was registered is found.
/// - **A watcher that does not listen** costs a limited row of changes; when there are more it hears the
///   [`Change::State`] again, or only how things are by now.
/// - **A dropped client is no deregistration.** Its nodes go when their time to live ends, and no other client's with
///   them. They may go sooner, and where depends on who answers for them: in memory the records do, whoever made
///   them; embedded the process does, so that they go with its last handle of the folder; over mDNS the client does,
///   and says farewell with its last handle. Deregister what has to go at once.
/// - **After an outage** whoever registers again and again is found again, and a watch either ends with an error, so that
///   the watcher asks for a new one and hears the [`Change::State`] first, or goes on by itself and tells what changed.
///   In neither case is a change lost for good. [`Cache`] does the asking.
/// - **A secret of the address** is shown by nothing: not by `Debug`, [`address`](Self::address) or an error.
#[async_trait]
pub trait Registry: fmt::Debug + Send + Sync + 'static {
    /// Returns the plugin's name, as `--registry` takes it.
    fn name(&self) -> &'static str;

    /// Returns where the records are, without secrets: the servers, the folder, the group.
    fn address(&self) -> String;

    /// Registers the record's nodes, or refreshes them, for this time to live.
    ///
    /// # Errors
    ///
    /// [`Kind::InvalidArgument`](crate::Kind::InvalidArgument) for what [`Service::check_registration`] refuses. Any other
    /// names the address and what to do; the caller tries again.
    async fn register(&self, service: &Service, ttl: Duration) -> Result<()>;

    /// Takes the record's nodes away from the record's version. Nodes that are not there, or by now in another version, are
    /// no error.
    ///
    /// # Errors
    ///
    /// Names the address; the nodes go when their time to live ends.
    async fn deregister(&self, service: &Service) -> Result<()>;

    /// Returns the records of a service, one a version; none if it is not registered.
    ///
    /// # Errors
    ///
    /// Names the address, if the registry cannot be asked.
    async fn get(&self, service: &str) -> Result<Vec<Service>>;

    /// Returns the names of all services, sorted.
    ///
    /// # Errors
    ///
    /// Names the address, if the registry cannot be asked.
    async fn list(&self) -> Result<Vec<String>>;

    /// Watches one service, or all with `None`. The first change is the full [`Change::State`].
    ///
    /// # Errors
    ///
    /// Names the address, if the watch cannot begin.
    async fn watch(&self, service: Option<&str>) -> Result<Box<dyn Watch>>;

    /// Returns itself, for a caller that knows the plugin.
    fn as_any(&self) -> &dyn Any;
}

/// Hears of changes, in order.
#[async_trait]
pub trait Watch: fmt::Debug + Send {
    /// Waits for the next change. Cancel-safe.
    ///
    /// # Errors
    ///
    /// If the watch ended and will not mend itself; the watcher asks for a new one.
    async fn next(&mut self) -> Result<Change>;
}
