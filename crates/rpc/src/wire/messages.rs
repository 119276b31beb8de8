//! The messages of a stream, cut out of its DATA frames.

use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use h2::RecvStream;
use http::HeaderMap;
use micro_core::{Error, Kind, Result};

use super::frame::{self, PREFIX};
use super::{STREAM_WINDOW, lost};

/// How much is set aside for a message before its bytes arrive: a prefix may promise more than comes.
const TRUSTED: usize = 256 << 10;

/// From how much on the window is given back though more is there to be read: a quarter of it.
const PAY_AT: usize = STREAM_WINDOW as usize / 4;

/// Reads messages. One that lies in one DATA frame is a slice of it, not a copy.
pub(crate) struct Messages {
    body: RecvStream,
    limit: usize,
    /// What is left of the DATA frame at hand.
    chunk: Bytes,
    /// How much of the window goes back to the sender, for what has been read.
    owed: usize,
    partial: Partial,
}

enum Partial {
    None,
    Prefix([u8; PREFIX], usize),
    Body(BytesMut, usize),
}

impl Messages {
    pub(crate) fn new(body: RecvStream, limit: usize) -> Self {
        Self { body, limit, chunk: Bytes::new(), owed: 0, partial: Partial::None }
    }

    /// Waits for the next message; `None` at the end of the stream. Cancel-safe.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        loop {
            if let Some(message) = self.cut()? {
                return Poll::Ready(Ok(Some(message)));
            }
            let polled = self.body.poll_data(cx);
            if polled.is_pending() || self.owed >= PAY_AT {
                // What is not paid when the stream ends is given back then.
                self.pay();
            }
            match ready!(polled) {
                Some(Ok(data)) => {
                    self.owed += data.len();
                    self.chunk = data;
                }
                Some(Err(error)) => return Poll::Ready(Err(lost::error(&error))),
                None if matches!(self.partial, Partial::None) => return Poll::Ready(Ok(None)),
                None => {
                    let text = "the stream ended in the middle of a message; the sender was cut off, or writes no gRPC";
                    return Poll::Ready(Err(Error::new(Kind::Decode, text)));
                }
            }
        }
    }

    /// Waits for what comes after the messages.
    pub(crate) fn poll_trailers(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<HeaderMap>>> {
        self.body.poll_trailers(cx).map_err(|error| lost::error(&error))
    }

    fn pay(&mut self) {
        if self.owed > 0 {
            // Fails only for a stream that is over, whose window nobody needs.
            let _ = self.body.flow_control().release_capacity(self.owed);
            self.owed = 0;
        }
    }

    /// Cuts one message, if what is there holds one.
    fn cut(&mut self) -> Result<Option<Bytes>> {
        loop {
            match &mut self.partial {
                Partial::None => {
                    if self.chunk.is_empty() {
                        return Ok(None);
                    }
                    let Some(prefix) = self.chunk.first_chunk::<PREFIX>() else {
                        self.partial = Partial::Prefix([0; PREFIX], 0);
                        continue;
                    };
                    let length = frame::length(*prefix, self.limit)?;
                    self.chunk.advance(PREFIX);
                    if self.chunk.len() >= length {
                        return Ok(Some(self.chunk.split_to(length)));
                    }
                    self.partial = Partial::Body(BytesMut::with_capacity(length.min(TRUSTED)), length);
                }
                Partial::Prefix(prefix, have) => {
                    let take = (PREFIX - *have).min(self.chunk.len());
                    prefix[*have..*have + take].copy_from_slice(&self.chunk[..take]);
                    *have += take;
                    self.chunk.advance(take);
                    if *have < PREFIX {
                        return Ok(None);
                    }
                    let length = frame::length(*prefix, self.limit)?;
                    self.partial = Partial::Body(BytesMut::with_capacity(length.min(TRUSTED)), length);
                }
                Partial::Body(body, length) => {
                    let take = (*length - body.len()).min(self.chunk.len());
                    body.extend_from_slice(&self.chunk[..take]);
                    self.chunk.advance(take);
                    if body.len() < *length {
                        return Ok(None);
                    }
                    let body = std::mem::take(body).freeze();
                    self.partial = Partial::None;
                    return Ok(Some(body));
                }
            }
        }
    }
}
