use std::fmt::Display;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use micro_core::registry::{Service, Unreadable};
use micro_core::{Error, Kind, Result};
use serde_json::{Value, json};

use crate::config::Format;

const LARGEST: u64 = 16 << 20;

/// Reads a list: go-micro's records, in an array or under `services`. A record that cannot be read is left out; a file
/// that cannot is an error. A node without an id gets one of its service's name and its address.
pub(crate) fn read(path: &Path, format: Format, unreadable: &Unreadable) -> Result<Vec<Service>> {
    let failed = |kind: Kind, error: &dyn Display| {
        let text =
            format!("the static list {} cannot be read: {error}; what was known before still counts", path.display());
        Error::new(kind, text)
    };
    let mut text = String::new();
    let file = File::open(path).map_err(|error| failed(Kind::Unavailable, &error))?;
    file.take(LARGEST + 1).read_to_string(&mut text).map_err(|error| failed(Kind::Unavailable, &error))?;
    if text.len() as u64 > LARGEST {
        return Err(failed(Kind::TooLarge, &format_args!("it has more than {LARGEST} bytes")));
    }
    let parsed: Result<Value, String> = match format {
        Format::Json => serde_json::from_str(&text).map_err(|error| error.to_string()),
        Format::Toml => toml::from_str(&text).map_err(|error| error.to_string()),
    };
    let records = match parsed.map_err(|error| failed(Kind::Decode, &error))? {
        Value::Array(records) => records,
        Value::Object(mut object) => match object.remove("services") {
            Some(Value::Array(records)) => records,
            _ => return Err(failed(Kind::Decode, &"it has no list called services")),
        },
        _ => return Err(failed(Kind::Decode, &"it is no list of services")),
    };
    let read = records.into_iter().enumerate().filter_map(|(place, mut record)| {
        name_nodes(&mut record);
        let key = format!("{} services[{place}]", path.display());
        unreadable.read(&key, record.to_string().as_bytes())
    });
    Ok(read.collect())
}

fn name_nodes(record: &mut Value) {
    let name = record["name"].as_str().unwrap_or_default().to_owned();
    for node in record.get_mut("nodes").and_then(Value::as_array_mut).into_iter().flatten() {
        if node.get("id").is_none()
            && let Some(address) = node["address"].as_str().map(str::to_owned)
        {
            node["id"] = json!(format!("{name}-{address}"));
        }
    }
}
