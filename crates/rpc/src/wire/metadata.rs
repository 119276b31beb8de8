//! Metadata of a call: HTTP/2 headers on the wire, [`Headers`] in a handler.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use micro_core::{Error, Headers, Kind, Result};

use super::base64;
use super::lenient::STAND_INS;

/// What belongs to the call itself; a caller's metadata cannot set it.
const RESERVED: [&str; 12] = [
    "connection",
    "content-length",
    "content-type",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "timeout",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-content-type",
];

/// What a handler does not see: it is used up already, or, as `remote`, not the caller's to say.
fn is_used_up(name: &str, value: &HeaderValue) -> bool {
    match name {
        "timeout" | "x-content-type" | "te" | "content-length" | "remote" => true,
        // What `lenient` made of a length.
        "accept-charset" => value.as_bytes().iter().all(u8::is_ascii_digit),
        _ => name.starts_with("grpc-") || STAND_INS.contains(&name),
    }
}

/// Returns what the handler sees: names lower-case as they came, `:authority`, and `remote` as go-micro adds it. Names
/// and values share one buffer.
pub(crate) fn read(from: &HeaderMap, uri: &Uri, remote: &Bytes) -> Headers {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let seen = || from.iter().filter(|(name, value)| !is_used_up(name.as_str(), value));
    let (count, size) =
        seen().fold((0, authority.len()), |(n, size), (name, value)| (n + 1, size + name.as_str().len() + value.len()));
    let mut buffer = BytesMut::with_capacity(size);
    for (name, value) in seen() {
        buffer.extend_from_slice(name.as_str().as_bytes());
        buffer.extend_from_slice(value.as_bytes());
    }
    buffer.extend_from_slice(authority.as_bytes());
    let mut buffer = buffer.freeze();

    let mut headers = Headers::with_capacity(count + 2);
    for (name, value) in seen() {
        let binary = name.as_str().ends_with("-bin");
        let name = buffer.split_to(name.as_str().len());
        let value = buffer.split_to(value.len());
        match binary.then(|| base64::decode(&value)).flatten() {
            Some(decoded) => headers.append(name, decoded),
            None => headers.append(name, value),
        }
    }
    if !authority.is_empty() {
        headers.append(Bytes::from_static(b":authority"), buffer);
    }
    headers.append(Bytes::from_static(b"remote"), remote.clone());
    headers
}

/// Writes a caller's metadata, names in lower case, behind what stands there.
///
/// # Errors
///
/// [`Kind::InvalidArgument`] naming a pair that HTTP/2 or gRPC does not allow.
pub(crate) fn write(metadata: &Headers, into: &mut HeaderMap) -> Result<()> {
    for (name, value) in metadata.iter() {
        let refused = |why: &str| {
            let name = String::from_utf8_lossy(name);
            Error::new(Kind::InvalidArgument, format!("the metadata {name:?} cannot be sent: {why}"))
        };
        let name = HeaderName::from_bytes(name).map_err(|_| refused("a name has letters, digits, -, _ and . only"))?;
        if RESERVED.contains(&name.as_str()) || name.as_str().starts_with("grpc-") {
            return Err(refused("the name belongs to the protocol; choose another"));
        }
        let value = if name.as_str().ends_with("-bin") {
            HeaderValue::try_from(base64::encode(value)).map_err(|_| refused("the value is too long"))?
        } else {
            HeaderValue::from_maybe_shared(value.clone())
                .map_err(|_| refused("the value has control characters; encode it, or end the name with -bin"))?
        };
        into.append(name, value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_comes_back_as_it_was_sent_but_for_the_case_of_names() {
        let metadata: Headers =
            [("Foo-Bar", &b"1"[..]), ("data-bin", &[0, 255]), ("foo-bar", b"2")].into_iter().collect();
        let mut wire = HeaderMap::new();
        write(&metadata, &mut wire).unwrap();
        wire.insert("timeout", HeaderValue::from_static("5"));
        wire.insert("grpc-timeout", HeaderValue::from_static("5n"));
        let back = read(&wire, &Uri::from_static("http://h:1/A/B"), &Bytes::from_static(b"127.0.0.1:9"));
        assert_eq!(back.get_all("foo-bar").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!(back.get("data-bin"), Some(&[0, 255][..]));
        assert_eq!((back.get_str(":authority"), back.get_str("remote")), (Some("h:1"), Some("127.0.0.1:9")));
        assert_eq!(back.len(), 5);
    }

    #[test]
    fn a_caller_cannot_say_where_it_calls_from() {
        let mut wire = HeaderMap::new();
        wire.insert("remote", HeaderValue::from_static("10.0.0.1:1"));
        let seen = read(&wire, &Uri::from_static("http://h:1/A/B"), &Bytes::from_static(b"127.0.0.1:9"));
        assert_eq!(seen.get_all("remote").collect::<Vec<_>>(), [b"127.0.0.1:9"]);
    }

    #[test]
    fn what_the_protocol_owns_is_refused_by_name() {
        for name in ["content-type", "grpc-status", ":path", "TE", "with space"] {
            let metadata: Headers = [(name, "x")].into_iter().collect();
            let error = write(&metadata, &mut HeaderMap::new()).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
