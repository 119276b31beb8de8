//! Writes a line for each event, and keeps it in the ring.

use std::fmt::Write as _;
use std::io::Write as _;

use chrono::{DateTime, Local, SecondsFormat};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::Format;
use super::fields::Fields;
use super::ring::{Record, Records};

/// The layer behind [`layer`](super::layer).
#[derive(Debug)]
pub(super) struct Lines(Format);

impl Lines {
    pub(super) fn new(format: Format) -> Self {
        Self(format)
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut fields = Fields::default();
        event.record(&mut fields);
        fields.others.push(("file", place(metadata)));
        fields.others.push(("level", metadata.level().as_str().to_ascii_lowercase()));
        fields.others.sort_by_key(|(name, _)| *name);
        let now = Local::now();
        let line = match self.0 {
            Format::Text => text(&now, &fields),
            Format::Json => json(&now, &fields),
        };
        // One write a line, so that lines of several processes do not mix. A closed stderr is nobody's fault.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
        Records::push(Record {
            timestamp: now.timestamp(),
            metadata: fields.others.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            message: fields.message,
        });
    }
}

/// Returns `file.rs:12`, or `folder/file.rs:12` inside a module's folder.
fn place(metadata: &Metadata<'_>) -> String {
    let path = metadata.file().unwrap_or("?");
    let mut parts = path.rsplit(['/', '\\']);
    let file = parts.next().unwrap_or(path);
    match (parts.next(), metadata.line().unwrap_or(0)) {
        (None | Some("src"), line) => format!("{file}:{line}"),
        (Some(folder), line) => format!("{folder}/{file}:{line}"),
    }
}

fn text(now: &DateTime<Local>, fields: &Fields) -> String {
    let mut line = format!("{} ", now.format("%Y-%m-%d %H:%M:%S"));
    for (name, value) in &fields.others {
        let _ = write!(line, " {name}={value}");
    }
    let _ = writeln!(line, " {}", fields.message);
    line
}

fn json(now: &DateTime<Local>, fields: &Fields) -> String {
    let mut object = serde_json::Map::new();
    object.insert("time".into(), now.to_rfc3339_opts(SecondsFormat::Millis, true).into());
    object.insert("message".into(), fields.message.as_str().into());
    for (name, value) in &fields.others {
        object.insert((*name).into(), value.as_str().into());
    }
    format!("{}\n", serde_json::Value::Object(object))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> Fields {
        Fields {
            message: "Starting [service] greeter".into(),
            others: vec![("file", "service.rs:200".into()), ("level", "info".into())],
        }
    }

    // features: A4, M1
    #[test]
    fn a_text_line_is_go_micros_with_two_blanks_after_the_time() {
        let now = "2021-05-07T00:50:11Z".parse::<DateTime<chrono::Utc>>().unwrap().with_timezone(&Local);
        let line = text(&now, &fields());
        assert_eq!(&line[19..], "  file=service.rs:200 level=info Starting [service] greeter\n");
    }

    // features: M1
    #[test]
    fn a_json_line_is_one_object() {
        let value: serde_json::Value = serde_json::from_str(&json(&Local::now(), &fields())).unwrap();
        assert_eq!(value["message"], "Starting [service] greeter");
        assert_eq!((&value["level"], &value["file"]), (&"info".into(), &"service.rs:200".into()));
    }

    #[test]
    fn a_line_break_in_a_value_cannot_forge_a_line() {
        let subscriber =
            tracing_subscriber::layer::SubscriberExt::with(tracing_subscriber::registry(), Lines::new(Format::Text));
        let forged = uuid::Uuid::new_v4().to_string();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(name = %format!("x\n{forged}"), "hello");
        });
        let record = Records::last(1024, 0).into_iter().find(|r| r.metadata.values().any(|v| v.contains(&forged)));
        assert_eq!(record.unwrap().metadata["name"], format!("x\\n{forged}"));
    }
}
