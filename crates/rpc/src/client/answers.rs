//! What comes back on a call: head, messages, and the status behind them.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use h2::client::ResponseFuture;
use http::header::CONTENT_TYPE;
use http::{StatusCode, response::Parts};
use micro_core::selector::InFlight;
use micro_core::{Error, Kind, Result};

use super::connection::Lease;
use super::stream_call::Again;
use crate::resilience::Place;
use crate::wire::lost;
use crate::wire::messages::Messages;
use crate::wire::outbox::{Outbox, Reader};
use crate::wire::status::{self, CLIENT};

pub(crate) struct Answers {
    state: State,
    limit: usize,
    lease: Lease,
    /// The stream as the selector counts it.
    in_flight: Option<InFlight>,
    /// Its place among the calls at once.
    place: Option<Place>,
    /// The other direction, if it may still be open.
    outbox: Option<Arc<Outbox>>,
    /// The other side surely did not begin.
    not_run: bool,
    /// What is done then, where it can be.
    again: Option<Box<Again>>,
}

enum State {
    Head(ResponseFuture),
    /// In a lock that nobody ever waits for, so that a stream can be shared.
    Again(Mutex<BoxFuture<'static, Result<Box<Answers>>>>),
    Open(Messages),
    Finished,
}

impl Answers {
    pub(super) fn new(response: ResponseFuture, limit: usize, lease: Lease, outbox: Option<Arc<Outbox>>) -> Self {
        let state = State::Head(response);
        Self { state, limit, lease, in_flight: None, place: None, outbox, not_run: false, again: None }
    }

    /// Says how it is asked again, should the other side not begin.
    pub(super) fn again(&mut self, again: Again) {
        self.again = Some(Box::new(again));
    }

    /// Counts the call until it ends, and tells how.
    pub(super) fn counted(mut self, mut call: Option<InFlight>, place: Option<Place>) -> Self {
        self.place = place;
        if let Some(call) = &mut call {
            call.streams();
        }
        self.in_flight = call;
        self
    }

    pub(super) fn surely_not_run(&self) -> bool {
        self.not_run
    }

    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Waits for the next message; `None` at the end, an error if the call ended with one. Cancel-safe.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        let polled = self.poll(cx);
        match &polled {
            Poll::Pending | Poll::Ready(Ok(Some(_))) => polled,
            Poll::Ready(Ok(None)) => {
                self.finish();
                if let Some(call) = self.in_flight.take() {
                    call.answered();
                }
                polled
            }
            Poll::Ready(Err(_)) => {
                self.finish();
                // Where our own side ended the call, it knows better why.
                let own = self.outbox.as_ref().and_then(|outbox| outbox.failure());
                let polled = own.map_or(polled, |own| Poll::Ready(Err(own)));
                if let (Some(call), Poll::Ready(Err(error))) = (self.in_flight.take(), &polled) {
                    call.failed(error);
                }
                polled
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        loop {
            match &mut self.state {
                State::Head(response) => {
                    let answered = ready!(Pin::new(response).poll(cx));
                    let again = self.again.take();
                    let failed = match answered {
                        Ok(response) => {
                            let (head, body) = response.into_parts();
                            self.lease.connection().heard().note();
                            match check(&head)? {
                                None => {
                                    self.state = State::Open(Messages::new(body, self.limit));
                                    continue;
                                }
                                Some(Ok(())) => return Poll::Ready(Ok(None)),
                                Some(Err(error)) => {
                                    self.not_run = status::is_not_run(&head.headers);
                                    error
                                }
                            }
                        }
                        Err(error) => {
                            self.not_run = lost::surely_not_run(&error);
                            self.lease.connection().lost(&error)
                        }
                    };
                    let Some(again) = again.filter(|_| self.not_run) else { return Poll::Ready(Err(failed)) };
                    if let Some(call) = self.in_flight.take() {
                        call.failed(&failed);
                    }
                    self.state = State::Again(Mutex::new(again.open(failed)));
                }
                State::Again(opening) => {
                    let opening = opening.get_mut().unwrap_or_else(PoisonError::into_inner);
                    let opened = ready!(opening.as_mut().poll(cx))?;
                    let place = self.place.take();
                    *self = *opened;
                    self.place = place;
                }
                State::Open(messages) => {
                    let message = ready!(messages.poll_next(cx))?;
                    self.lease.connection().heard().note();
                    if message.is_some() {
                        return Poll::Ready(Ok(message));
                    }
                    let trailers = ready!(messages.poll_trailers(cx))?;
                    let status = trailers.as_ref().and_then(status::read).unwrap_or_else(|| {
                        let text = "the answer ended without a status; the other side broke off, or speaks no gRPC";
                        Err(Error::new(Kind::Unavailable, text).id(CLIENT))
                    });
                    return Poll::Ready(status.map(|()| None));
                }
                State::Finished => return Poll::Ready(Ok(None)),
            }
        }
    }

    fn finish(&mut self) {
        self.state = State::Finished;
        self.place = None;
        if let Some(outbox) = &self.outbox {
            outbox.reader(Reader::Finished);
        }
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        if let Some(outbox) = &self.outbox {
            outbox.reader(Reader::Gone);
        }
    }
}

/// Looks at the head of an answer: the status, where the whole answer is in it.
fn check(head: &Parts) -> Result<Option<Result<()>>> {
    if let Some(status) = status::read(&head.headers) {
        return Ok(Some(status));
    }
    if head.status != StatusCode::OK {
        return Err(status::http_error(head.status));
    }
    let content_type = head.headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    if !content_type.get(..16).is_some_and(|text| text.eq_ignore_ascii_case(b"application/grpc")) {
        let text = format!(
            "the answer has the content type {:?}, not gRPC's; look whether a gRPC server listens at this address",
            String::from_utf8_lossy(content_type)
        );
        return Err(Error::new(Kind::UnsupportedContentType, text).id(CLIENT));
    }
    Ok(None)
}
