//! Spans of calls, and W3C trace context.

use bytes::Bytes;
use micro_core::Headers;
use tracing::{Level, Span, debug_span};

pub(crate) const TRACEPARENT: &str = "traceparent";

/// Returns the span of a call being answered, if anybody looks at it.
pub(crate) fn server(endpoint: &str, metadata: &Headers, remote: &Bytes) -> Option<Span> {
    tracing::enabled!(Level::DEBUG).then(|| {
        debug_span!(
            "rpc.server",
            endpoint,
            peer = %String::from_utf8_lossy(remote),
            traceparent = metadata.get_str(TRACEPARENT)
        )
    })
}

/// Returns the span of a call being made, if anybody looks at it.
pub(crate) fn client(service: &str, endpoint: &str, metadata: &Headers) -> Option<Span> {
    tracing::enabled!(Level::DEBUG)
        .then(|| debug_span!("rpc.client", service, endpoint, traceparent = metadata.get_str(TRACEPARENT)))
}

/// Begins a trace where none came in, if anybody looks at spans: what is called from here on shares it.
pub(crate) fn begin(metadata: &mut Headers) {
    if tracing::enabled!(Level::DEBUG) && metadata.get(TRACEPARENT).is_none() {
        // All zeros would be no trace, and no span.
        let root = format!("00-{:032x}-{:016x}-01", fastrand::u128(1..), fastrand::u64(1..));
        metadata.append(Bytes::from_static(TRACEPARENT.as_bytes()), root);
    }
}

/// Returns the trace context of a call made under another: the same trace, a span of its own.
pub(crate) fn child(parent: &str) -> Option<String> {
    let mut parts = parent.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if version != "00" || parts.next().is_some() || !hex(trace, 32) || !hex(span, 16) || !hex(flags, 2) {
        return None;
    }
    // All zeros would be no span.
    Some(format!("00-{trace}-{:016x}-{flags}", fastrand::u64(1..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_keeps_the_trace_and_has_a_span_of_its_own() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let child = child(parent).unwrap();
        assert_eq!((&child[..36], &child[52..]), (&parent[..36], "-01"));
        assert_ne!(child[36..52], parent[36..52]);
    }

    #[test]
    fn a_trace_begins_only_where_somebody_looks() {
        let mut metadata = Headers::new();
        tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::default(), || begin(&mut metadata));
        assert!(metadata.is_empty());
    }

    #[test]
    fn what_is_no_trace_context_is_not_made_one() {
        for text in ["", "00-1-2-3", "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"] {
            assert_eq!(child(text), None);
        }
    }
}
