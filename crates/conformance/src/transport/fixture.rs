use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use micro_core::tls::{ClientTls, ServerTls};
use micro_core::{Context, Error, Result};

use super::Method;
use crate::Limits;

/// What the suite needs of a transport.
#[async_trait]
pub trait Fixture: fmt::Debug + Send + Sync + 'static {
    /// Returns the transport's name, as it stands in the report: `transport-grpc`.
    fn name(&self) -> &'static str;

    /// Returns what the transport can do beyond calls and streams.
    fn capability(&self) -> Capability;

    /// Starts a server of the service `conformance` at a `host:port`; port 0 is a free one.
    ///
    /// # Errors
    ///
    /// If it cannot be started there.
    async fn serve(&self, address: &str, methods: Vec<Method>, options: ServerOptions) -> Result<Box<dyn Server>>;

    /// Makes a client that sends its calls to a `host:port`, and tries none a second time that may have run.
    fn client(&self, address: &str, options: ClientOptions) -> Arc<dyn Client>;

    /// Returns how long the suite waits.
    fn limits(&self) -> Limits {
        Limits::default()
    }
}

/// What a transport can do beyond calls and streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Capability {
    /// A peer that is silent is asked whether it is still there.
    pub keep_alive: bool,
    /// A server tells whether it serves.
    pub health: bool,
    /// A server tells what it offers.
    pub reflection: bool,
    /// Both sides speak TLS where their options have it.
    pub tls: bool,
}

impl Capability {
    /// Returns all of it.
    #[must_use]
    pub const fn all() -> Self {
        Self { keep_alive: true, health: true, reflection: true, tls: true }
    }
}

/// How a server is to be.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServerOptions {
    /// The largest message in bytes.
    pub max_message: usize,
    /// After how much silence a client is asked whether it is still there, and how long it may take to answer.
    pub keep_alive: (Duration, Duration),
    /// The certificates, where it speaks TLS.
    pub tls: Option<ServerTls>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self { max_message: 4 << 20, keep_alive: (Duration::from_secs(30), Duration::from_secs(10)), tls: None }
    }
}

/// How a client is to be.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClientOptions {
    /// The largest message in bytes.
    pub max_message: usize,
    /// As [`ServerOptions::keep_alive`].
    pub keep_alive: (Duration, Duration),
    /// What it believes and shows, where it speaks TLS.
    pub tls: Option<ClientTls>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self { max_message: 4 << 20, keep_alive: (Duration::from_secs(20), Duration::from_secs(5)), tls: None }
    }
}

/// A server that runs. Dropped, it may end as it likes.
#[async_trait]
pub trait Server: fmt::Debug + Send + Sync {
    /// Returns where it listens, `host:port`.
    fn address(&self) -> String;

    /// Takes nothing new, waits so long for the calls that run, and cuts off the rest; returns how many were cut off.
    async fn stop(&self, limit: Duration) -> usize;
}

/// What one call asks for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Call {
    /// The method, `Suite.Echo`.
    pub method: String,
    /// The message, where there is one.
    pub body: Bytes,
    /// What travels beside it.
    pub metadata: Vec<(&'static str, Bytes)>,
    /// How long it may take; without it, at least a minute.
    pub timeout: Option<Duration>,
    /// The context of the handler that makes the call, where one does.
    pub context: Option<Context>,
}

impl Call {
    /// Creates a call with a message.
    #[must_use]
    pub fn new(method: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self { method: method.into(), body: body.into(), metadata: Vec::new(), timeout: None, context: None }
    }

    /// Adds a metadata pair.
    #[must_use]
    pub fn metadata(mut self, name: &'static str, value: impl Into<Bytes>) -> Self {
        self.metadata.push((name, value.into()));
        self
    }

    /// Sets how long it may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the context of the handler that makes it.
    #[must_use]
    pub fn context(mut self, context: Context) -> Self {
        self.context = Some(context);
        self
    }
}

/// A client of one address. Dropping the future of a call cancels the call.
#[async_trait]
pub trait Client: fmt::Debug + Send + Sync {
    /// Calls with one message for one.
    async fn call(&self, call: Call) -> Result<Bytes>;

    /// Calls with one message for many.
    async fn server_stream(&self, call: Call) -> Result<Box<dyn Receiver>>;

    /// Calls with many messages for one; the call's own body is none of them.
    async fn client_stream(&self, call: Call) -> Result<Box<dyn Upload>>;

    /// Calls with many messages for many; the call's own body is none of them.
    async fn stream(&self, call: Call) -> Result<(Box<dyn Sender>, Box<dyn Receiver>)>;

    /// Asks whether a service of the server serves; `""` is the server as a whole.
    ///
    /// # Errors
    ///
    /// [`Kind::NotFound`](micro_core::Kind::NotFound) for a service that is not there.
    async fn health(&self, service: &str) -> Result<bool> {
        let _ = service;
        Err(Error::unsupported("the transport", "health"))
    }

    /// Asks for the full names of the server's services.
    async fn services(&self) -> Result<Vec<String>> {
        Err(Error::unsupported("the transport", "reflection"))
    }

    /// Asks whether a service has a method of this name, by its full name and the method's.
    async fn describes(&self, service: &str, method: &str) -> Result<bool> {
        let _ = (service, method);
        Err(Error::unsupported("the transport", "reflection"))
    }
}

/// One direction of a stream: to the other side. At the client, dropping it ends the direction.
#[async_trait]
pub trait Sender: Send + Sync {
    /// Sends a message; waits while the other side does not read.
    async fn send(&self, message: Bytes) -> Result<()>;
}

/// One direction of a stream: from the other side. At the client, dropping it before the end cancels the call.
#[async_trait]
pub trait Receiver: Send {
    /// Waits for a message; `None` at the end.
    async fn recv(&mut self) -> Result<Option<Bytes>>;
}

/// A call of many messages for one. Dropped before its answer, the call is cancelled.
#[async_trait]
pub trait Upload: Send + Sync {
    /// Sends a message; waits while the other side does not read.
    async fn send(&self, message: Bytes) -> Result<()>;

    /// Ends the messages and waits for the answer.
    async fn finish(self: Box<Self>) -> Result<Bytes>;
}
