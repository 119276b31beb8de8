//! The last spans of the process, for `Debug.Trace`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tracing::span::{Attributes, Id, Record as Values};
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{DynFilterFn, LevelFilter};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::fields::Fields;
use super::rate::Rate;

/// How many spans are kept.
const KEPT: usize = 512;

/// Which way a call or event went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Inbound,
    Outbound,
}

/// One call or event that has ended.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) trace: String,
    pub(crate) id: String,
    pub(crate) parent: String,
    pub(crate) name: String,
    pub(crate) started: SystemTime,
    pub(crate) duration: Duration,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) direction: Direction,
}

/// How many spans a second are looked at: a busy service need not pay for more than anybody reads.
static RATE: Rate = Rate::new(256);

static RING: Mutex<VecDeque<Span>> = Mutex::new(VecDeque::new());

/// Returns up to `count` of the last spans, oldest first; those of one trace, unless `trace` is empty.
pub(crate) fn recent(count: usize, trace: &str) -> Vec<Span> {
    let ring = RING.lock().unwrap_or_else(PoisonError::into_inner);
    let wanted = ring.iter().rev().filter(|span| trace.is_empty() || span.trace == trace).take(count);
    let mut spans: Vec<_> = wanted.cloned().collect();
    spans.reverse();
    spans
}

/// The spans that are kept: those of the framework's own calls and events, as long as there is room in this second. Its
/// debug lines are the log's business.
pub(super) fn filter<S>() -> DynFilterFn<S> {
    type Wanted<S> = fn(&Metadata<'_>, &Context<'_, S>) -> bool;
    type Interesting = fn(&'static Metadata<'static>) -> Interest;
    let wanted: Wanted<S> = |metadata, _| own(metadata) && RATE.has_room();
    let interesting: Interesting = |metadata| if own(metadata) { Interest::sometimes() } else { Interest::never() };
    DynFilterFn::new(wanted).with_max_level_hint(LevelFilter::DEBUG).with_callsite_filter(interesting)
}

fn own(metadata: &Metadata<'_>) -> bool {
    // What is neither is a hint: the question whether a span would be wanted at all.
    !metadata.is_event() && ["micro_rpc", "micro_event"].iter().any(|own| metadata.target().starts_with(own))
}

/// The layer that keeps them.
#[derive(Debug)]
pub(super) struct Spans;

struct Open {
    started: (SystemTime, Instant),
    fields: Fields,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        RATE.take();
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        span.extensions_mut().insert(Open { started: (SystemTime::now(), Instant::now()), fields });
    }

    fn on_record(&self, id: &Id, values: &Values<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(open) = span.extensions_mut().get_mut::<Open>() {
            values.record(&mut open.fields);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(open) = span.extensions_mut().remove::<Open>() else { return };
        push(closed(span.name(), open));
    }
}

fn closed(name: &str, open: Open) -> Span {
    let mut metadata: BTreeMap<String, String> =
        open.fields.others.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let (trace, id) = metadata.remove("traceparent").and_then(|text| split(&text)).unwrap_or_default();
    let outbound = name == "rpc.client" || name == "event.publish";
    Span {
        trace,
        id,
        parent: String::new(),
        name: name.to_owned(),
        started: open.started.0,
        duration: open.started.1.elapsed(),
        direction: if outbound { Direction::Outbound } else { Direction::Inbound },
        metadata,
    }
}

/// Takes trace and span out of a W3C `traceparent`.
fn split(traceparent: &str) -> Option<(String, String)> {
    let mut parts = traceparent.split('-').skip(1);
    Some((parts.next()?.to_owned(), parts.next()?.to_owned()))
}

fn push(span: Span) {
    let mut ring = RING.lock().unwrap_or_else(PoisonError::into_inner);
    if ring.len() == KEPT {
        ring.pop_front();
    }
    ring.push_back(span);
}
