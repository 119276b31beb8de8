//! A node and its service, as go-micro's plugin for Consul writes them.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::time::Duration;

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use micro_core::registry::{Endpoint, Node, Service, Unreadable};
use micro_core::{Error, Kind, Result};

use crate::api::{Check, Entry, Registration};

/// How large a tag may become when it is unpacked.
const LARGEST_TAG: u64 = 1 << 20;
/// How large what a node registers may be: above it Consul's own replication suffers.
const LARGEST: usize = 512 << 10;

/// Marks what is of a domain, which go-micro does not know.
const DOMAIN: &str = "micro-domain=";

/// go-micro's pause between a check that failed and the removal of its node, and the least that Consul keeps to.
const REMOVAL: Duration = Duration::from_secs(5);
const LEAST_REMOVAL: Duration = Duration::from_secs(65);

/// What Consul takes as metadata: so many pairs, of such lengths.
const PAIRS: usize = 64;
const KEY: usize = 128;
const VALUE: usize = 512;

/// Returns a name or an id as Consul has it.
pub(crate) fn in_domain(domain: &str, name: &str) -> String {
    if domain.is_empty() { name.to_owned() } else { format!("{domain}.{name}") }
}

/// Returns our name or id of Consul's; `None` if it is of another domain.
pub(crate) fn out_of_domain<'a>(domain: &str, name: &'a str, tags: &[String]) -> Option<&'a str> {
    let of = tags.iter().find_map(|tag| tag.strip_prefix(DOMAIN));
    match domain {
        "" => of.is_none().then_some(name),
        _ if of == Some(domain) => name.strip_prefix(domain)?.strip_prefix('.'),
        _ => None,
    }
}

/// Returns what is registered for a node of a record.
pub(crate) fn registration(service: &Service, node: &Node, domain: &str, ttl: Duration) -> Result<Registration> {
    let (address, port) = match node.host_port() {
        Some((host, port)) if port > 0 => (host.to_owned(), port),
        _ => (node.address.clone(), 0),
    };
    let removal = (ttl + REMOVAL).max(LEAST_REMOVAL);
    let registration = Registration {
        id: in_domain(domain, &node.id),
        name: in_domain(domain, &service.name),
        address,
        port,
        tags: tags(service, node, domain)?,
        meta: meta(&node.metadata),
        check: Check {
            ttl: go_duration(ttl),
            deregister_critical_service_after: go_duration(removal),
            status: "passing",
        },
    };
    let size: usize = registration.tags.iter().map(String::len).sum();
    if size > LARGEST {
        let text = format!(
            "the node {} has {size} bytes of endpoints and metadata, and Consul should not be given more than {LARGEST}",
            node.id
        );
        return Err(Error::new(Kind::TooLarge, text));
    }
    Ok(registration)
}

/// In go-micro's order. It has no metadata of services; ours is in tags whose letter it does not read.
fn tags(service: &Service, node: &Node, domain: &str) -> Result<Vec<String>> {
    let pair = |letter: &str, name: &String, value: &String| encode(letter, &json(&BTreeMap::from([(name, value)]))?);
    let mut tags = Vec::new();
    for (name, value) in &node.metadata {
        tags.push(pair("t", name, value)?);
    }
    for endpoint in &service.endpoints {
        tags.push(encode("e", &json(endpoint)?)?);
    }
    tags.push(encode("v", service.version.as_bytes())?);
    for (name, value) in &service.metadata {
        tags.push(pair("s", name, value)?);
    }
    if !domain.is_empty() {
        tags.push(format!("{DOMAIN}{domain}"));
    }
    Ok(tags)
}

/// The tag of a version, as we write it.
pub(crate) fn version_tag(version: &str) -> Result<String> {
    encode("v", version.as_bytes())
}

/// Tells whether tags are those of a version, whoever wrote them.
pub(crate) fn is_version(tags: &[String], version: &str, ours: &str) -> bool {
    let mut written = tags.iter().filter(|tag| tag.starts_with("v-") || tag.starts_with("v=")).peekable();
    if written.peek().is_none() {
        return version.is_empty();
    }
    written.any(|tag| tag == ours || decode(tag).is_ok_and(|read| read == version.as_bytes()))
}

/// For others than us to see: only what Consul takes. All of it is in the tags.
fn meta(metadata: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let fits = |name: &str, value: &str| {
        !name.is_empty() && name.len() <= KEY && value.len() <= VALUE && plain(name) && !name.starts_with("consul-")
    };
    let fitting = metadata.iter().filter(|(name, value)| fits(name, value)).take(PAIRS);
    fitting.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Returns the key and the record of what Consul lists: of a domain, and with no check that failed.
pub(crate) fn record(entry: Entry, domain: &str, unreadable: &Unreadable) -> Option<(String, Service)> {
    if entry.is_sick() {
        return None;
    }
    let found = &entry.service;
    let name = out_of_domain(domain, &found.service, &found.tags)?;
    let id = if domain.is_empty() { &*found.id } else { found.id.strip_prefix(domain)?.strip_prefix('.')? };
    let key = format!("{}/{}", entry.node.node, found.id);
    if id.is_empty() || name.is_empty() {
        return unreadable.leave_out(&key, &"it has no name or no id");
    }
    let host = if found.address.is_empty() { &entry.node.address } else { &found.address };
    let address = match found.port {
        0 => host.clone(),
        port if host.contains(':') => format!("[{host}]:{port}"),
        port => format!("{host}:{port}"),
    };
    let (mut service, mut node) = (Service::new(name, ""), Node::new(id, address));
    let mut versions = 0;
    for tag in &found.tags {
        let mut read = || -> Result<(), String> {
            match tag.as_bytes() {
                [b't', b'-' | b'=', ..] => node.metadata.append(&mut parsed(&decode(tag)?)?),
                [b's', b'-', ..] => service.metadata.append(&mut parsed(&decode(tag)?)?),
                [b'e', b'-' | b'=', ..] => service.endpoints.push(parsed::<Endpoint>(&decode(tag)?)?),
                [b'v', b'-' | b'=', ..] => {
                    service.version = String::from_utf8(decode(tag)?).map_err(|error| error.to_string())?;
                    versions += 1;
                }
                _ => {}
            }
            Ok(())
        };
        if let Err(why) = read() {
            let _: Option<()> = unreadable.leave_out(&format!("{key} {}", shortened(tag)), &why);
        }
    }
    // Whoever registered it was not go-micro.
    if versions == 0 && node.metadata.is_empty() {
        node.metadata.clone_from(&found.meta);
    }
    service.nodes.push(node);
    Some((key, service))
}

fn shortened(tag: &str) -> String {
    tag.chars().take(60).collect()
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Error::new(Kind::Encode, format!("a record for Consul: {error}")))
}

fn parsed<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

/// A letter, and in hex what zlib makes of the value.
fn encode(letter: &str, value: &[u8]) -> Result<String> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    let packed = encoder.write_all(value).and_then(|()| encoder.finish());
    let packed = packed.map_err(|error| Error::new(Kind::Encode, format!("a record for Consul: {error}")))?;
    let mut tag = format!("{letter}-");
    for byte in packed {
        for digit in [byte >> 4, byte & 15] {
            tag.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
    }
    Ok(tag)
}

/// The value of a tag, plain or packed.
fn decode(tag: &str) -> Result<Vec<u8>, String> {
    if tag.as_bytes().get(1) == Some(&b'=') {
        return Ok(tag.as_bytes()[2..].to_vec());
    }
    let (pairs, rest) = tag.as_bytes()[2..].as_chunks::<2>();
    if !rest.is_empty() {
        return Err("its hex has an odd length".to_owned());
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let packed = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    let packed: Vec<u8> = packed.collect::<Option<_>>().ok_or("it is not in hex")?;
    let mut value = Vec::new();
    ZlibDecoder::new(&*packed).take(LARGEST_TAG + 1).read_to_end(&mut value).map_err(|error| error.to_string())?;
    if value.len() as u64 > LARGEST_TAG {
        return Err(format!("unpacked it has more than {LARGEST_TAG} bytes"));
    }
    Ok(value)
}

/// A time as Go reads it: `1m0s`, `1.5s`.
pub(crate) fn go_duration(time: Duration) -> String {
    let (minutes, seconds) = (time.as_secs() / 60, time.as_secs() % 60);
    let (hours, minutes) = (minutes / 60, minutes % 60);
    let fraction = match time.subsec_nanos() {
        0 => String::new(),
        nanos => format!(".{nanos:09}").trim_end_matches('0').to_owned(),
    };
    match (hours, minutes) {
        (0, 0) => format!("{seconds}{fraction}s"),
        (0, _) => format!("{minutes}m{seconds}{fraction}s"),
        _ => format!("{hours}h{minutes}m{seconds}{fraction}s"),
    }
}

#[cfg(test)]
mod tests;
