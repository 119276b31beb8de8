//! The calling side: from a service's name to an answer.

mod answers;
mod attempts;
mod builder;
mod call;
mod channel;
mod choose;
mod circuits;
mod connection;
mod layered;
mod nodes;
mod options;
mod plan;
mod policy;
mod pool;
mod progress;
mod stream_call;
mod targets;
mod unary;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use micro_core::codec::{Format, Payload};
use micro_core::context::Propagation;
use micro_core::middleware::Next;

pub(crate) use answers::Answers;
pub use builder::ClientBuilder;
pub use call::{Call, ClientStreamCall, ServerStreamCall, StreamCall};

use nodes::Nodes;

use plan::Timeouts;
use policy::Policy;
use pool::Pools;
use targets::Targets;

/// Calls services by name. A cheap clone; all clones share their connections.
///
/// A call goes to one of the service's nodes, over a pooled connection, with a deadline over all its tries. Made inside a
/// handler it stays on the handler's core, and shares its deadline and its trace. Made on a tokio runtime of the caller's
/// own, which must have its I/O and time drivers enabled, it stays there, and so do its connections; made elsewhere, it
/// runs on a core.
///
/// # Examples
///
/// ```no_run
/// # async fn example(client: micro_rpc::Client) -> micro_core::Result<()> {
/// use bytes::Bytes;
/// use micro_core::codec::Format;
/// use std::time::Duration;
///
/// let request = Bytes::from_static(br#"{"name":"John"}"#);
/// let answer: Bytes = client
///     .call("greeter", "Greeter.Greet", &request)
///     .content_type(Format::Json)
///     .timeout(Duration::from_secs(1))
///     .await?;
/// # let _ = answer;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client(Arc<Inner>);

/// What the calls of a client share.
pub(crate) struct Inner {
    nodes: Nodes,
    pools: Pools,
    targets: Targets,
    selector: Arc<dyn micro_core::selector::Selector>,
    propagation: Propagation,
    from_service: Option<HeaderValue>,
    format: Option<Format>,
    timeout: Duration,
    /// The headers of the usual timeout, written once.
    timeouts: Timeouts,
    retries: u32,
    policy: Policy,
    max_message_size: usize,
    /// The middleware, if there is any.
    layers: Option<Next>,
}

impl Client {
    /// Starts to make a client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    /// Calls an endpoint with one message for one; the call begins when it is awaited.
    ///
    /// `endpoint` is `Service.Method`, or a path of its own as `/package.Service/Method`.
    ///
    /// # Errors
    ///
    /// Awaited: what the handler returned; [`Kind::NoNode`] if the service is not registered or no node passes the
    /// filters; [`Kind::Refused`] or [`Kind::Unavailable`] if the node cannot be reached; [`Kind::Timeout`] after the
    /// deadline.
    ///
    /// [`Kind::NoNode`]: micro_core::Kind::NoNode
    /// [`Kind::Refused`]: micro_core::Kind::Refused
    /// [`Kind::Unavailable`]: micro_core::Kind::Unavailable
    /// [`Kind::Timeout`]: micro_core::Kind::Timeout
    pub fn call<'a, Q: Payload, R: Payload>(
        &'a self,
        service: &'a str,
        endpoint: &'a str,
        request: &'a Q,
    ) -> Call<'a, Q, R> {
        Call::new(self, service, endpoint, request)
    }

    /// Calls an endpoint that answers one message with many. Awaited, it gives the receiver as soon as the request is on
    /// its way: what the handler says about it comes with the first `recv`. A node that refuses to begin costs a try, and
    /// that `recv` opens the stream at another one.
    ///
    /// A stream has no deadline unless it is given one.
    pub fn server_stream<'a, Q: Payload, R: Payload>(
        &'a self,
        service: &'a str,
        endpoint: &'a str,
        request: &'a Q,
    ) -> ServerStreamCall<'a, Q, R> {
        ServerStreamCall::new(self, service, endpoint, request)
    }

    /// Calls an endpoint that takes many messages and answers with one.
    pub fn client_stream<'a, Q: Payload, R: Payload>(
        &'a self,
        service: &'a str,
        endpoint: &'a str,
    ) -> ClientStreamCall<'a, Q, R> {
        ClientStreamCall::new(self, service, endpoint)
    }

    /// Calls an endpoint that takes and gives many messages.
    pub fn stream<'a, Q: Payload, R: Payload>(&'a self, service: &'a str, endpoint: &'a str) -> StreamCall<'a, Q, R> {
        StreamCall::new(self, service, endpoint)
    }

    /// Returns what the client knows of services, where it has a registry.
    #[must_use]
    pub fn cache(&self) -> Option<&micro_core::registry::Cache> {
        self.0.nodes.cache()
    }

    fn inner(&self) -> &Arc<Inner> {
        &self.0
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::builder().build()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("nodes", &self.0.nodes)
            .field("selector", &self.0.selector)
            .field("timeout", &self.0.timeout)
            .field("retries", &self.0.retries)
            .finish_non_exhaustive()
    }
}
