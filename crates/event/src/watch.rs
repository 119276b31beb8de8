//! What is told of a handler that failed, to those who asked for it.

use std::sync::Arc;
use std::time::Duration;

use micro_core::Error;
use micro_core::broker::{DeliveryParts, Reason};

/// Hears of failures.
pub(crate) type Observer = Arc<dyn Fn(&HandlerFailure<'_>) + Send + Sync>;

/// A handler failed with an event, or an event could not be handled or given up at all; see
/// [`EventsBuilder::on_failure`](crate::EventsBuilder::on_failure).
#[derive(Debug)]
#[non_exhaustive]
pub struct HandlerFailure<'a> {
    /// The delivery: topic, queue, headers, key, body, and how often handlers have failed with it, this time included.
    pub delivery: &'a DeliveryParts,
    /// The queue, or the subscriber's name.
    pub subscriber: Option<&'a str>,
    /// Why.
    pub error: &'a Error,
    /// What comes next.
    pub next: AfterFailure,
}

/// What becomes of an event that was not handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AfterFailure {
    /// It comes again after this pause.
    Retry(Duration),
    /// It goes to the dead letters.
    DeadLetter(Reason),
    /// Its dead letter could not be published: the error is the broker's. It is tried again after this pause.
    DeadLetterLater(Duration),
    /// It is gone: its subscriber keeps no dead letters.
    Dropped(Reason),
}
