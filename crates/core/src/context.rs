//! What travels with a call or an event.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::Headers;
use crate::broker::{Position, Queue};

tokio::task_local! {
    static CURRENT: Context;
}

/// What a handler knows of the call or event it handles, and what its own calls inherit.
///
/// A cheap clone. Inside a handler it is also the current one ([`Context::current`]), so that a call made there shares
/// its deadline and its trace without being told.
///
/// # Examples
///
/// ```
/// use micro_core::Context;
/// use std::time::Duration;
///
/// let context = Context::builder().metadata("Tenant", "acme").timeout(Duration::from_secs(5)).build();
/// assert_eq!(context.metadata().get_str("tenant"), Some("acme"));
/// assert!(context.remaining().unwrap() <= Duration::from_secs(5));
/// ```
#[derive(Clone, Default)]
pub struct Context(Arc<Inner>);

#[derive(Default, Clone)]
struct Inner {
    service: Option<Arc<str>>,
    endpoint: Option<Arc<str>>,
    peer: Option<std::net::SocketAddr>,
    metadata: Headers,
    deadline: Option<Instant>,
    event: Option<EventInfo>,
}

/// What a handler knows of the delivery behind an event.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct EventInfo {
    /// The id of the message.
    pub id: Bytes,
    /// The key.
    pub key: Option<Bytes>,
    /// The queue it was given to.
    pub queue: Option<Queue>,
    /// How often handlers have failed with it so far: 0 the first time.
    pub attempts: u32,
    /// How often the server has handed it out, where it counts.
    pub deliveries: Option<u32>,
    /// When it was published.
    pub published: Option<std::time::SystemTime>,
    /// Where it lies.
    pub position: Option<Position>,
}

impl EventInfo {
    /// Creates an empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

/// Makes a [`Context`].
#[derive(Default)]
#[must_use]
pub struct ContextBuilder(Inner);

impl Context {
    /// Creates an empty context: no metadata, no deadline.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts to make a context.
    #[inline]
    pub fn builder() -> ContextBuilder {
        ContextBuilder::default()
    }

    /// Returns the context of the handler that this task runs, or an empty one.
    ///
    /// A task spawned by a handler has none of its own: hand it the handler's by [`scope`](Self::scope).
    #[must_use]
    pub fn current() -> Self {
        CURRENT.try_with(Clone::clone).unwrap_or_default()
    }

    /// Returns the context of the handler that this task runs, if it runs one.
    #[must_use]
    pub fn try_current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// Runs a future with this as its current context.
    pub fn scope<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, future)
    }

    /// Starts to make a context like this one, as a middleware gives it on. Its deadline can only become earlier.
    pub fn to_builder(&self) -> ContextBuilder {
        ContextBuilder(Inner::clone(&self.0))
    }

    /// Returns the called service's name, or that of the subscriber.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        self.0.service.as_deref()
    }

    /// Returns the endpoint (`Greeter.Greet`), or the topic of an event.
    #[must_use]
    #[inline]
    pub fn endpoint(&self) -> Option<&str> {
        self.0.endpoint.as_deref()
    }

    /// Returns the address of the caller.
    #[must_use]
    pub fn peer(&self) -> Option<std::net::SocketAddr> {
        self.0.peer
    }

    /// Returns what the caller sent along: names are found without case.
    #[must_use]
    #[inline]
    pub fn metadata(&self) -> &Headers {
        &self.0.metadata
    }

    /// Returns when the caller stops waiting.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.0.deadline
    }

    /// Returns how long the caller still waits; zero if it no longer does, `None` if it waits for ever.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.0.deadline.map(|deadline| deadline.saturating_duration_since(now()))
    }

    /// Returns what is known of the delivery, if this is an event.
    #[must_use]
    #[inline]
    pub fn event(&self) -> Option<&EventInfo> {
        self.0.event.as_ref()
    }
}

impl Context {
    /// Makes this the context of the next event in a row, in the memory of the last: service and endpoint stay, and what
    /// `fill` does not touch of the delivery. Whoever still holds a clone of the last one keeps it as it was.
    #[inline]
    pub fn next_event(&mut self, deadline: Instant, metadata: Headers, fill: impl FnOnce(&mut EventInfo)) {
        if Arc::get_mut(&mut self.0).is_none() {
            let last = &self.0;
            self.0 = Arc::new(Inner {
                service: last.service.clone(),
                endpoint: last.endpoint.clone(),
                peer: last.peer,
                event: last.event.clone(),
                ..Inner::default()
            });
        }
        let Some(inner) = Arc::get_mut(&mut self.0) else { unreachable!("nobody else can have it yet") };
        inner.metadata = metadata;
        inner.deadline = Some(deadline);
        fill(inner.event.get_or_insert_default());
    }
}

/// Returns the runtime's present: a test may have moved it.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl ContextBuilder {
    /// Sets the called service's name.
    #[inline]
    pub fn service(mut self, name: impl Into<Arc<str>>) -> Self {
        self.0.service = Some(name.into());
        self
    }

    /// Sets the endpoint or topic.
    #[inline]
    pub fn endpoint(mut self, name: impl Into<Arc<str>>) -> Self {
        self.0.endpoint = Some(name.into());
        self
    }

    /// Sets the address of the caller.
    #[inline]
    pub fn peer(mut self, peer: std::net::SocketAddr) -> Self {
        self.0.peer = Some(peer);
        self
    }

    /// Adds a metadata pair.
    #[inline]
    pub fn metadata(mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        self.0.metadata.append(name, value);
        self
    }

    /// Sets the whole metadata.
    #[inline]
    pub fn headers(mut self, metadata: Headers) -> Self {
        self.0.metadata = metadata;
        self
    }

    /// Sets the deadline, unless an earlier one is set.
    #[inline]
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.0.deadline = Some(self.0.deadline.map_or(deadline, |earlier| earlier.min(deadline)));
        self
    }

    /// Sets the deadline by the time from now, unless an earlier one is set.
    #[inline]
    pub fn timeout(self, timeout: Duration) -> Self {
        match now().checked_add(timeout) {
            Some(deadline) => self.deadline(deadline),
            None => self,
        }
    }

    /// Sets what is known of the delivery.
    #[inline]
    pub fn event(mut self, event: EventInfo) -> Self {
        self.0.event = Some(event);
        self
    }

    /// Makes the context.
    #[must_use]
    #[inline]
    pub fn build(self) -> Context {
        Context(Arc::new(self.0))
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("service", &self.0.service)
            .field("endpoint", &self.0.endpoint)
            .field("peer", &self.0.peer)
            .field("metadata", &self.0.metadata)
            .field("remaining", &self.remaining())
            .field("event", &self.0.event)
            .finish()
    }
}

impl fmt::Debug for ContextBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextBuilder").field("metadata", &self.0.metadata).finish_non_exhaustive()
    }
}

/// Which metadata goes on from a handler to the calls and events that it makes.
///
/// An allow-list: trace and request ids, and the names a service adds. Credentials, cookies, pseudo headers and what
/// belongs to one connection never go on, even if they are added.
#[derive(Debug, Clone)]
pub struct Propagation(Arc<[String]>);

impl Default for Propagation {
    fn default() -> Self {
        Self::new([])
    }
}

impl Propagation {
    const ALWAYS: [&'static str; 6] =
        ["traceparent", "tracestate", "baggage", "x-request-id", "micro-trace-id", "micro-span-id"];

    const NEVER: [&'static str; 21] = [
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
        "host",
        "connection",
        "content-length",
        "content-type",
        "x-content-type",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "timeout",
        "remote",
        "keep-alive",
        "micro-id",
        "micro-topic",
        "micro-from-service",
        "micro-for-queue",
    ];

    /// Creates a list with names beside the usual ones.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().filter(|name| !Self::is_never(name.as_bytes())).collect())
    }

    /// Tells whether a name must never go on.
    #[must_use]
    pub fn is_never(name: &[u8]) -> bool {
        name.is_empty()
            || name[0] == b':'
            || name.get(..5).is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"grpc-"))
            || Self::NEVER.iter().any(|never| name.eq_ignore_ascii_case(never.as_bytes()))
    }

    /// Tells whether a name goes on.
    #[must_use]
    pub fn allows(&self, name: &[u8]) -> bool {
        Self::ALWAYS.iter().any(|always| name.eq_ignore_ascii_case(always.as_bytes()))
            || self.0.iter().any(|own| name.eq_ignore_ascii_case(own.as_bytes()))
    }

    /// Copies what goes on, except what stands in `into` already.
    pub fn copy(&self, from: &Headers, into: &mut Headers) {
        for (name, value) in from.iter() {
            if self.allows(name) && !into.iter().any(|(there, _)| there.eq_ignore_ascii_case(name)) {
                into.append(name.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_never_go_on_even_when_asked_for() {
        let propagation = Propagation::new(["Authorization".to_owned(), "Tenant".to_owned()]);
        let from: Headers =
            [("authorization", "Bearer x"), ("tenant", "acme"), (":authority", "h"), ("traceparent", "00-1")]
                .into_iter()
                .collect();
        let mut into = Headers::new();
        propagation.copy(&from, &mut into);
        assert_eq!(into.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), ["tenant", "traceparent"]);
    }

    #[test]
    fn the_next_event_leaves_alone_what_somebody_kept_of_the_last() {
        let mut context = Context::builder().service("shop").event(EventInfo::new()).build();
        let deadline = Instant::now();
        let next = |context: &mut Context, tenant: &'static str, attempts| {
            context.next_event(deadline, [("Tenant", tenant)].into_iter().collect(), |event| event.attempts = attempts);
        };
        next(&mut context, "acme", 1);
        let kept = context.clone();
        next(&mut context, "umbrella", 2);
        let tell = |context: &Context| {
            let attempts = context.event().map(|event| event.attempts);
            (context.service().map(str::to_owned), context.metadata().get_str("tenant").map(str::to_owned), attempts)
        };
        assert_eq!(tell(&kept), (Some("shop".into()), Some("acme".into()), Some(1)));
        assert_eq!(tell(&context), (Some("shop".into()), Some("umbrella".into()), Some(2)));
        assert_eq!(context.deadline(), Some(deadline));
    }

    #[tokio::test]
    async fn the_handlers_context_is_the_current_one() {
        let context = Context::builder().service("shop").build();
        let seen = context.scope(async { Context::current().service().map(str::to_owned) }).await;
        assert_eq!(seen.as_deref(), Some("shop"));
        assert!(Context::try_current().is_none());
    }
}
