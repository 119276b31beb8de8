//! A call with everything decided but the node.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, TE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Uri, uri::Authority, uri::Scheme};
use micro_core::codec::Format;
use micro_core::selector::{Filter, Selector};
use micro_core::{Context, Error, Headers, Kind, Result};
use tokio::time::Instant;

use super::Inner;
use super::options::CallOptions;
use super::targets::Target;
use crate::resilience::{Backoff, Concurrency, Hedge, Rate};
use crate::trace;
use crate::wire::status::CLIENT;
use crate::wire::{metadata, timeout};

const TIMEOUT: HeaderName = HeaderName::from_static(timeout::TIMEOUT);
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static(timeout::GRPC_TIMEOUT);
const X_CONTENT_TYPE: HeaderName = HeaderName::from_static("x-content-type");
const FROM_SERVICE: HeaderName = HeaderName::from_static("micro-from-service");
const AGENT: HeaderValue = HeaderValue::from_static(concat!("micro-rs/", env!("CARGO_PKG_VERSION")));
const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");

pub(super) struct Plan {
    pub(super) client: Arc<Inner>,
    pub(super) target: Arc<Target>,
    /// The first message, framed; empty if the call opens without one.
    pub(super) frame: Bytes,
    pub(super) format: Format,
    pub(super) began: Instant,
    /// How long the call may take, from `began`.
    pub(super) timeout: Option<Duration>,
    pub(super) retries: u32,
    pub(super) idempotent: bool,
    pub(super) address: Option<Arc<str>>,
    selector: Option<Arc<dyn Selector>>,
    /// The hash of what the call is about.
    pub(super) key: Option<u64>,
    pub(super) filters: Vec<Filter>,
    pub(super) metadata: Headers,
    pub(super) backoff: Backoff,
    pub(super) hedge: Option<Hedge>,
    concurrency: Option<Concurrency>,
    rate: Option<Rate>,
}

/// The two headers of a timeout.
pub(super) struct Timeouts {
    of: Duration,
    micro: HeaderValue,
    grpc: HeaderValue,
}

impl Timeouts {
    pub(super) fn new(of: Duration) -> Self {
        // go-micro reads 64 bits of nanoseconds: 584 years.
        let nanos = u64::try_from(of.as_nanos()).unwrap_or(u64::MAX);
        let grpc = HeaderValue::try_from(timeout::format(of)).unwrap_or(HeaderValue::from_static("99999999H"));
        Self { of, micro: HeaderValue::from(nanos), grpc }
    }

    /// Keeps values that no other call will have out of the connection's header table.
    fn once(mut self) -> Self {
        self.micro.set_sensitive(true);
        self.grpc.set_sensitive(true);
        self
    }
}

impl Plan {
    pub(super) fn new(
        client: &Arc<Inner>,
        service: &str,
        endpoint: &str,
        options: CallOptions,
        usual_timeout: Option<Duration>,
        format: Format,
        frame: Bytes,
    ) -> Result<Self> {
        let target = client.targets.get(service, endpoint)?;
        let context = options.context.or_else(Context::try_current);
        let mut metadata = inherit(client, context.as_ref(), options.metadata, options.forward_authorization);
        trace::begin(&mut metadata);
        let own = options.timeout.or(usual_timeout);
        let inherited = context.as_ref().and_then(Context::remaining);
        let timeout = match (own, inherited) {
            (Some(own), Some(inherited)) => Some(own.min(inherited)),
            (one, other) => one.or(other),
        };
        if timeout.is_some_and(|timeout| timeout.is_zero()) {
            let text = format!("{endpoint} of service {service} was not called: the caller's own time is over already");
            return Err(Error::new(Kind::Timeout, text).id(CLIENT));
        }
        Ok(Self {
            client: client.clone(),
            target,
            frame,
            format,
            began: Instant::now(),
            timeout,
            retries: options.retries.unwrap_or(client.retries),
            idempotent: options.idempotent,
            address: options.address,
            selector: options.selector,
            key: options.key,
            filters: options.filters,
            metadata,
            backoff: options.backoff.unwrap_or(client.policy.backoff),
            hedge: options.hedge.unwrap_or(client.policy.hedge),
            concurrency: options.concurrency,
            rate: options.rate,
        })
    }

    /// Returns what chooses the node.
    pub(super) fn selector(&self) -> &Arc<dyn Selector> {
        self.selector.as_ref().unwrap_or(&self.client.selector)
    }

    /// Returns the limit that the call waits for, and the rate.
    pub(super) fn limits(&self) -> (Option<&Concurrency>, Option<&Rate>) {
        let policy = &self.client.policy;
        (self.concurrency.as_ref().or(policy.concurrency.as_ref()), self.rate.as_ref().or(policy.rate.as_ref()))
    }

    /// Returns when the call's time is over.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.timeout.and_then(|timeout| self.began.checked_add(timeout))
    }

    /// Returns the request to one node.
    pub(super) fn request(&self, authority: &Authority, first: bool) -> Result<Request<()>> {
        let mut headers = HeaderMap::with_capacity(8 + self.metadata.len());
        let content_type = HeaderValue::from_static(self.format.grpc_content_type().as_str());
        headers.insert(CONTENT_TYPE, content_type.clone());
        headers.insert(TE, TRAILERS);
        headers.insert(USER_AGENT, AGENT);
        headers.insert(X_CONTENT_TYPE, content_type);
        if let Some(name) = &self.client.from_service {
            headers.insert(FROM_SERVICE, name.clone());
        }
        if let Some(timeout) = self.timeout {
            let usual = &self.client.timeouts;
            let (micro, grpc) = if first && timeout == usual.of {
                (usual.micro.clone(), usual.grpc.clone())
            } else {
                let Timeouts { micro, grpc, .. } = Timeouts::new(timeout.saturating_sub(self.began.elapsed())).once();
                (micro, grpc)
            };
            headers.insert(TIMEOUT, micro);
            headers.insert(GRPC_TIMEOUT, grpc);
        }
        metadata::write(&self.metadata, &mut headers)?;

        let mut uri = http::uri::Parts::default();
        uri.scheme = Some(if self.client.pools.is_secure() { Scheme::HTTPS } else { Scheme::HTTP });
        uri.authority = Some(authority.clone());
        uri.path_and_query = Some(self.target.path.clone());
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_parts(uri).map_err(|error| {
            Error::new(Kind::InvalidArgument, "the path of the call is none")
                .with("path", &self.target.path)
                .source(error)
        })?;
        *request.headers_mut() = headers;
        Ok(request)
    }
}

/// Adds what goes on from the handler that makes the call: what the allow-list names, the trace with a span of its own,
/// and its authorization only when asked.
fn inherit(client: &Inner, from: Option<&Context>, mut metadata: Headers, authorization: bool) -> Headers {
    let Some(from) = from.map(Context::metadata).filter(|from| !from.is_empty()) else { return metadata };
    if metadata.get(trace::TRACEPARENT).is_none()
        && let Some(child) = from.get_str(trace::TRACEPARENT).and_then(trace::child)
    {
        metadata.append(Bytes::from_static(trace::TRACEPARENT.as_bytes()), child);
    }
    if authorization
        && metadata.get("authorization").is_none()
        && let Some(value) = from.get_bytes("authorization")
    {
        metadata.append(Bytes::from_static(b"authorization"), value.clone());
    }
    client.propagation.copy(from, &mut metadata);
    metadata
}
