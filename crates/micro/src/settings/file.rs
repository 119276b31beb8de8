//! The configuration file: one JSON object; a nested one is written flat with `_`, a list with commas.

use std::path::Path;

use micro_core::{Error, Kind, Result};
use serde_json::Value;

use super::layers::{Layers, Source};
use super::table::{TABLE, nearest};

/// No sensible file is larger, and it is read whole.
const LIMIT: u64 = 1 << 20;

/// Reads a file into its layer. `own` are the names of the program's own flags.
pub(crate) fn read(path: &Path, own: &[&str], layers: &mut Layers) -> Result<()> {
    let failed = |text: String| Error::new(Kind::Config, text).with("file", path.display());
    let size = std::fs::metadata(path)
        .map_err(|error| failed("the configuration file cannot be read; check --config_file".into()).source(error))?
        .len();
    if size > LIMIT {
        return Err(failed(format!("the configuration file of {size} bytes is over {LIMIT}; is it the right one?")));
    }
    let text = std::fs::read_to_string(path)
        .map_err(|error| failed("the configuration file cannot be read; check --config_file".into()).source(error))?;
    let value: Value = serde_json::from_str(&text)
        .map_err(|error| failed("the configuration file is no JSON".into()).source(error))?;
    let Value::Object(object) = value else {
        return Err(failed("the configuration file must be a JSON object, as {\"broker\": \"memory\"}".into()));
    };
    let mut flat = Vec::new();
    flatten("", &Value::Object(object), &mut flat);
    for (name, value) in flat {
        let known = || TABLE.iter().map(|setting| setting.name).chain(own.iter().copied());
        if !known().any(|known| known == name) {
            let hint = nearest(&name, known()).map_or(String::new(), |near| format!("; did you mean {near}?"));
            return Err(failed(format!("the configuration file has an unknown setting {name:?}{hint}")));
        }
        layers.set(&name, value, Source::File(path.to_owned()));
    }
    Ok(())
}

fn flatten(prefix: &str, value: &Value, out: &mut Vec<(String, String)>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}_{name}") };
                // Labels and limits by name are maps by nature; everything else that is nested is a longer name.
                match value {
                    Value::Object(labels) if ["server_metadata", "server_endpoint_limits"].contains(&&*name) => {
                        let pairs: Vec<_> = labels.iter().map(|(k, v)| format!("{k}={}", plain(v))).collect();
                        out.push((name, pairs.join(",")));
                    }
                    value => flatten(&name, value, out),
                }
            }
        }
        value => out.push((prefix.to_owned(), plain(value))),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Array(list) => list.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Layers> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("micro.json");
        std::fs::write(&path, text).unwrap();
        let mut layers = Layers::default();
        read(&path, &["limit"], &mut layers).map(|()| layers)
    }

    // features: A2
    #[test]
    fn nested_names_are_joined_and_lists_are_commas() {
        let layers = read_text(
            r#"{"server": {"address": ":1", "metadata": {"zone": "a"}, "endpoint_limits": {"A.Do": 1}}, "broker_address": ["h1", "h2"], "limit": 3}"#,
        )
        .unwrap();
        assert_eq!(layers.get("server_address"), Some(":1"));
        assert_eq!(layers.get("server_metadata"), Some("zone=a"));
        assert_eq!(layers.get("server_endpoint_limits"), Some("A.Do=1"));
        assert_eq!(layers.get("broker_address"), Some("h1,h2"));
        assert_eq!(layers.get("limit"), Some("3"));
    }

    #[test]
    fn a_misspelt_name_is_refused_with_the_nearest() {
        let text = read_text(r#"{"brokr": "memory"}"#).unwrap_err().to_string();
        assert!(text.contains("\"brokr\"; did you mean broker?"), "{text}");
    }

    #[test]
    fn broken_json_says_where() {
        let text = read_text("{\n \"broker\" 1}").unwrap_err().to_string();
        assert!(text.contains("no JSON") && text.contains("line 2") && text.contains("micro.json"), "{text}");
    }
}
