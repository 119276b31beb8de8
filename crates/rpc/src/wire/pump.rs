//! Carries an outbox onto its stream, no faster than the other side reads.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::SendStream;

use super::outbox::{Next, Outbox};

/// What is on the way out.
#[derive(Default)]
pub(crate) struct Pump {
    chunk: Bytes,
    last: bool,
}

/// How a pump ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pumped {
    /// All is out, and nothing more will come.
    End {
        /// The end of the stream went out with it.
        closed: bool,
    },
    /// The stream is broken, or the outbox failed.
    Broken,
}

impl Pump {
    /// Sends what there is, as far as the window allows. With `close`, the end of the stream goes with the last message.
    pub(crate) fn poll(
        &mut self,
        outbox: &Outbox,
        stream: &mut SendStream<Bytes>,
        close: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Pumped> {
        loop {
            if self.chunk.is_empty() {
                match ready!(outbox.poll_take(cx)) {
                    Next::Data { data, last } => (self.chunk, self.last) = (data, last),
                    Next::End => {
                        let closed = close && stream.send_data(Bytes::new(), true).is_ok();
                        return Poll::Ready(Pumped::End { closed });
                    }
                    Next::Failed => return Poll::Ready(Pumped::Broken),
                }
            }
            stream.reserve_capacity(self.chunk.len());
            // `poll_capacity` tells of growth only; what is there already it keeps silent about.
            let mut room = stream.capacity();
            while room == 0 {
                match ready!(stream.poll_capacity(cx)) {
                    Some(Ok(more)) => room = more,
                    Some(Err(_)) | None => return Poll::Ready(Pumped::Broken),
                }
            }
            let part = self.chunk.split_to(room.min(self.chunk.len()));
            let end = close && self.last && self.chunk.is_empty();
            if stream.send_data(part, end).is_err() {
                return Poll::Ready(Pumped::Broken);
            }
            if end {
                return Poll::Ready(Pumped::End { closed: true });
            }
        }
    }
}
