//! What waits to go out on a stream: written by a sender, taken by the pump that owns the stream.
//!
//! Messages are encoded behind one another, and the pump takes all that is there at once, so that messages which are
//! ready together leave as one DATA frame. A peer closes a connection that brings too many small ones.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use micro_core::codec::{Format, Payload};
use micro_core::{Error, Kind, Result};

use super::{DATA_FRAME, frame};

/// A sender waits while this much is waiting already.
const FULL: usize = DATA_FRAME as usize;

#[derive(Default)]
pub(crate) struct Outbox(Mutex<State>);

#[derive(Default)]
struct State {
    buffer: BytesMut,
    /// How much went out the last time: room for as much is made the next time.
    last: usize,
    /// Nothing more will be written.
    closed: bool,
    /// The reader of the other direction is gone, or has all.
    reader: Reader,
    failure: Option<Error>,
    pump: Option<Waker>,
    senders: Vec<Waker>,
}

/// What became of the other direction of the stream.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// It is read.
    #[default]
    Reading,
    /// It was read to its end.
    Finished,
    /// Nobody reads it any longer.
    Gone,
}

/// What the pump finds.
pub(crate) enum Next {
    Data { data: Bytes, last: bool },
    End,
    Failed,
}

impl Outbox {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic in an encoder leaves whole messages only, since `append` takes back what it began.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a message, once there is room.
    pub(crate) fn poll_send<T: Payload>(
        &self,
        value: &T,
        format: Format,
        limit: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<()>> {
        let mut state = self.state();
        if let Some(failure) = &state.failure {
            return Poll::Ready(Err(failure.duplicate()));
        }
        if state.closed {
            return Poll::Ready(Err(Error::new(Kind::Closed, "the stream is closed for sending already")));
        }
        if state.buffer.len() >= FULL {
            if !state.senders.iter().any(|waker| waker.will_wake(cx.waker())) {
                state.senders.push(cx.waker().clone());
            }
            return Poll::Pending;
        }
        let needed = frame::PREFIX + value.size_hint(format);
        if state.buffer.capacity() - state.buffer.len() < needed {
            let room = if state.buffer.is_empty() { state.last.min(FULL) } else { 0 };
            state.buffer.reserve(needed.max(room));
        }
        let result = frame::append(value, format, limit, &mut state.buffer);
        let pump = state.pump.take();
        drop(state);
        if let Some(pump) = pump {
            pump.wake();
        }
        Poll::Ready(result)
    }

    /// Writes a frame that is encoded already. Only for the first.
    pub(crate) fn put(&self, frame: &[u8]) {
        self.state().buffer.extend_from_slice(frame);
    }

    /// Says that nothing more will be written.
    pub(crate) fn close(&self) {
        self.change(|state| state.closed = true);
    }

    /// Says what became of the other direction.
    pub(crate) fn reader(&self, reader: Reader) {
        self.change(|state| {
            if state.reader == Reader::Reading {
                state.reader = reader;
            }
        });
    }

    /// Ends it: senders get this error from now on. The first error stays.
    pub(crate) fn fail(&self, error: Error) {
        self.change(|state| {
            state.failure.get_or_insert(error);
        });
    }

    /// Returns why it ended.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.state().failure.as_ref().map(Error::duplicate)
    }

    /// Tells what became of the other direction, and asks to be woken when that changes.
    pub(crate) fn poll_reader(&self, cx: &mut Context<'_>) -> Reader {
        let mut state = self.state();
        state.pump = Some(cx.waker().clone());
        state.reader
    }

    /// Takes all that waits.
    pub(crate) fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Next> {
        let mut state = self.state();
        if state.failure.is_some() {
            return Poll::Ready(Next::Failed);
        }
        if state.buffer.is_empty() {
            if state.closed {
                return Poll::Ready(Next::End);
            }
            state.pump = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let data = state.buffer.split().freeze();
        state.last = data.len();
        let last = state.closed;
        let senders = std::mem::take(&mut state.senders);
        drop(state);
        senders.into_iter().for_each(Waker::wake);
        Poll::Ready(Next::Data { data, last })
    }

    /// Tells whether anything waits to go out.
    pub(crate) fn has_data(&self) -> bool {
        !self.state().buffer.is_empty()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        let (pump, senders) = (state.pump.take(), std::mem::take(&mut state.senders));
        drop(state);
        pump.into_iter().chain(senders).for_each(Waker::wake);
    }
}
