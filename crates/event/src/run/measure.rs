use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};

/// The counters of one subscription, looked up once.
pub(crate) struct Measure {
    pub(crate) ok: Counter,
    pub(crate) retried: Counter,
    pub(crate) dead: Counter,
    pub(crate) dropped: Counter,
    pub(crate) skipped: Counter,
    pub(crate) released: Counter,
    pub(crate) in_flight: Gauge,
    pub(crate) behind: Gauge,
    duration: Histogram,
}

impl Measure {
    pub(crate) fn new(topic: &str, queue: &str) -> Self {
        let handled = |outcome: &'static str| {
            metrics::counter!(
                "micro_event_handled_total",
                "topic" => topic.to_owned(), "queue" => queue.to_owned(), "outcome" => outcome
            )
        };
        let labels = [("topic", topic.to_owned()), ("queue", queue.to_owned())];
        Self {
            ok: handled("ok"),
            retried: handled("retried"),
            dead: handled("dead"),
            dropped: handled("dropped"),
            skipped: handled("skipped"),
            released: handled("released"),
            in_flight: metrics::gauge!("micro_event_in_flight", &labels),
            behind: metrics::gauge!("micro_event_behind", &labels),
            duration: metrics::histogram!("micro_event_handle_seconds", &labels),
        }
    }

    /// Notes how long each of some handlers took.
    pub(crate) fn took(&self, time: Duration, handlers: u32) {
        self.duration.record_many(time, handlers as usize);
    }
}
