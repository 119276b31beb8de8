//! Logs: go-micro's lines or JSON on stderr, and the last of them in memory for `Debug.Log`.
//!
//! A program that sets its own `tracing` subscriber first keeps it; then `Debug.Log` and `Debug.Trace` have what
//! [`layer`] is given, if it is made part of that subscriber.

mod fields;
mod level;
mod lines;
mod rate;
mod ring;
mod spans;

use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;

pub use level::{Format, Level};
pub(crate) use ring::{Record, Records};
pub(crate) use spans::{Direction, recent};

/// Sets the process's `tracing` subscriber, unless one is set; tells whether it did.
///
/// [`Service`](crate::Service) calls it with `--log_level` and `--log_format`; call it yourself to log before that.
///
/// # Examples
///
/// ```
/// use micro::logging::{Format, Level, init};
///
/// assert!(init(Level::default(), Format::Json));
/// assert!(!init(Level::default(), Format::Text), "the first one stays");
/// ```
pub fn init(level: Level, format: Format) -> bool {
    install(level, format, true)
}

/// Sets the subscriber; `spans` keeps calls for `Debug.Trace`.
pub(crate) fn install(level: Level, format: Format, spans: bool) -> bool {
    if tracing::dispatcher::has_been_set() {
        return false;
    }
    let lines = tracing_subscriber::registry().with(lines(level, format));
    match spans {
        true => tracing::subscriber::set_global_default(lines.with(keep_spans())).is_ok(),
        false => tracing::subscriber::set_global_default(lines).is_ok(),
    }
}

/// Returns what [`init`] sets, to be part of a subscriber of your own.
pub fn layer<S>(level: Level, format: Format) -> impl Layer<S>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    lines(level, format).and_then(keep_spans())
}

fn lines<S>(level: Level, format: Format) -> impl Layer<S>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    lines::Lines::new(format).with_filter(level.into_targets())
}

fn keep_spans<S>() -> impl Layer<S>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    spans::Spans.with_filter(spans::filter())
}
