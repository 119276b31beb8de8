//! What goes over the wire: JSON as go-micro's plugin writes it, with fields of our own that its programs leave out.

use std::borrow::Cow;
use std::time::Duration;

use micro_core::registry::Service;
use serde::{Deserialize, Serialize};

/// What a process asks of all, and what it tells them.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Message<'a> {
    #[serde(rename = "Action")]
    pub(crate) action: Action,
    /// None where all services are asked for.
    #[serde(rename = "Service", default)]
    pub(crate) service: Option<Cow<'a, Service>>,
    #[serde(flatten)]
    pub(crate) sender: Sender,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    Get,
    List,
    Create,
    Update,
    Delete,
}

/// What we say beside it. go-micro's programs say nothing of the kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sender {
    /// Which client it is of.
    #[serde(rename = "Micro-From", default, skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<String>,
    /// Which of its messages it is, if it waits to hear it itself.
    #[serde(rename = "Micro-Number", default, skip_serializing_if = "Option::is_none")]
    pub(crate) number: Option<u64>,
    /// For how long the node is registered, in milliseconds.
    #[serde(rename = "Micro-Ttl", default, skip_serializing_if = "Option::is_none")]
    ttl: Option<u64>,
}

/// One answer to who asked: a record, and who it is of.
#[derive(Debug, Serialize)]
pub(crate) struct Answer<'a> {
    #[serde(flatten)]
    pub(crate) record: &'a Service,
    #[serde(flatten)]
    pub(crate) sender: Sender,
}

impl Sender {
    pub(crate) fn new(from: &str) -> Self {
        Self { from: Some(from.to_owned()), ..Self::default() }
    }

    pub(crate) fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
        self
    }

    pub(crate) fn numbered(mut self, number: u64) -> Self {
        self.number = Some(number);
        self
    }

    pub(crate) fn get_ttl(&self) -> Option<Duration> {
        self.ttl.map(Duration::from_millis)
    }

    /// Reads who an answer is of. What it has no word of stays open.
    pub(crate) fn of(answer: &[u8]) -> Self {
        serde_json::from_slice(answer).unwrap_or_default()
    }
}

/// Returns the key of a node; names may have any characters but NUL, which no name has.
pub(crate) fn key(service: &str, node: &str) -> String {
    format!("{service}\0{node}")
}

#[cfg(test)]
mod tests {
    use micro_core::registry::{Node, Unreadable};

    use super::*;

    const RECORD: &str =
        r#"{"name":"s","version":"1","metadata":{},"endpoints":[],"nodes":[{"id":"a","address":"h:1","metadata":{}}]}"#;

    fn record() -> Service {
        Service::new("s", "1").node(Node::new("a", "h:1"))
    }

    #[test]
    fn what_go_micro_asks_and_tells_is_read() {
        let asked: Message<'_> = serde_json::from_str(r#"{"Action":"list","Service":null}"#).unwrap();
        assert!(asked.action == Action::List && asked.service.is_none());
        let asked =
            r#"{"Action":"get","Service":{"name":"s","version":"","metadata":null,"endpoints":null,"nodes":null}}"#;
        let asked: Message<'_> = serde_json::from_str(asked).unwrap();
        assert!(asked.action == Action::Get && asked.service.unwrap().name == "s");
        let told: Message<'_> = serde_json::from_str(&format!(r#"{{"Action":"create","Service":{RECORD}}}"#)).unwrap();
        assert_eq!((told.action, &*told.service.unwrap(), told.sender), (Action::Create, &record(), Sender::default()));
    }

    #[test]
    fn what_we_tell_is_go_micros_form_with_more_behind_it() {
        let (record, sender) = (record(), Sender::new("me").ttl(Duration::from_secs(2)).numbered(7));
        let told = Message { action: Action::Create, service: Some(Cow::Borrowed(&record)), sender };
        let written = serde_json::to_string(&told).unwrap();
        let more = r#""Micro-From":"me","Micro-Number":7,"Micro-Ttl":2000"#;
        assert_eq!(written, format!(r#"{{"Action":"create","Service":{RECORD},{more}}}"#));
        let read: Message<'_> = serde_json::from_str(&written).unwrap();
        assert_eq!(read.sender.get_ttl(), Some(Duration::from_secs(2)));
    }

    #[test]
    fn an_answer_is_a_record_with_more_behind_it() {
        let (record, sender) = (record(), Sender::new("me").ttl(Duration::from_secs(2)));
        let written = serde_json::to_vec(&Answer { record: &record, sender: sender.clone() }).unwrap();
        assert_eq!(Unreadable::new("nats").read("s", &written), Some(record));
        assert_eq!(Sender::of(&written), sender);
        assert_eq!(Sender::of(RECORD.as_bytes()), Sender::default());
    }
}
