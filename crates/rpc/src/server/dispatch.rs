//! What a call asks for, before its messages are read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, StatusCode, request::Parts};
use micro_core::codec::Format;
use micro_core::{Context, Error, Kind};

use super::connection::Peer;
use super::handler::Codec;
use super::occupied::Occupied;
use super::routes::Route;
use crate::measure::Refused;
use crate::trace;
use crate::wire::failure::Failure;
use crate::wire::{metadata, timeout};

/// A call that can begin.
pub(super) struct Admitted {
    pub(super) route: Arc<Route>,
    pub(super) codec: Codec,
    pub(super) context: Context,
    pub(super) deadline: Option<Deadline>,
    pub(super) occupied: Option<Occupied>,
}

/// When a call's time is over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    pub(super) at: Instant,
    pub(super) after: Duration,
}

impl Deadline {
    pub(super) fn failure(self, name: &str) -> Failure {
        let text = format!("{name} did not finish within the {:?} that the caller gave it", self.after);
        Failure::deadline(Error::new(Kind::Timeout, text))
    }
}

/// Checks that this is a gRPC call at all; the answer to what is none is plain HTTP.
pub(super) fn content_type(head: &Parts) -> Result<HeaderValue, StatusCode> {
    if head.method != Method::POST {
        return Err(StatusCode::METHOD_NOT_ALLOWED);
    }
    let content_type = head.headers.get(CONTENT_TYPE).ok_or(StatusCode::UNSUPPORTED_MEDIA_TYPE)?;
    let begins = content_type.as_bytes().get(..16).is_some_and(|text| text.eq_ignore_ascii_case(b"application/grpc"));
    if begins { Ok(content_type.clone()) } else { Err(StatusCode::UNSUPPORTED_MEDIA_TYPE) }
}

/// Finds the endpoint and makes the handler's context.
pub(super) fn admit(head: &Parts, content_type: &HeaderValue, peer: &Peer, now: Instant) -> Result<Admitted, Failure> {
    let shared = &peer.shared;
    let route = shared.routes.find(head.uri.path())?.clone();
    let text = String::from_utf8_lossy(content_type.as_bytes());
    let format = Format::of_content_type(&text).ok_or_else(|| Failure::content_type(&text))?;
    if let Some(limit) = shared.options.in_flight_limit().filter(|_| !route.is_built_in)
        && shared.stats.in_flight() > limit
    {
        let text = format!("the server handles {limit} calls already, as many as it may; try again later");
        return Err(shared.refuse(&route, Refused::Limit, Failure::too_many(text)));
    }
    let occupied = Occupied::take(&route).map_err(|limit| {
        let text = format!("{} has {limit} calls already, as many as it may; try again later", route.name);
        shared.refuse(&route, Refused::Limit, Failure::too_many(text))
    })?;
    let deadline =
        timeout::read(&head.headers).and_then(|after| now.checked_add(after).map(|at| Deadline { at, after }));
    let mut metadata = metadata::read(&head.headers, &head.uri, &peer.remote);
    trace::begin(&mut metadata);
    let mut context = Context::builder()
        .service(shared.options.shared_name().clone())
        .endpoint(route.name.clone())
        .peer(peer.address)
        .headers(metadata);
    if let Some(deadline) = deadline {
        context = context.deadline(deadline.at);
    }
    let codec = Codec { format, limit: shared.options.message_limit() };
    Ok(Admitted { route, codec, context: context.build(), deadline, occupied })
}
