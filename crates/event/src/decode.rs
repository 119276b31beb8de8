use bytes::Bytes;
use micro_core::codec::{Format, Payload};
use micro_core::{Error, Headers, Kind, Result};

use crate::failure::Failure;
use crate::headers;

/// Reads the value of a message, by its content type.
pub(crate) fn decode<T: Payload>(topic: &str, headers: &Headers, body: Bytes) -> Result<T, Failure> {
    format(topic, headers)
        .and_then(|format| T::decode(format, body).map_err(|error| error.with("topic", topic.to_owned())))
        .map_err(Failure::decode)
}

/// Returns the format, where there is one.
pub(crate) fn format_of(headers: &Headers) -> Option<Format> {
    format("", headers).ok()
}

/// Finds the format. Parameters behind a semicolon are not looked at.
fn format(topic: &str, headers: &Headers) -> Result<Format> {
    let Some(content_type) = headers.get(headers::CONTENT_TYPE) else {
        return Err(Error::new(
            Kind::Decode,
            format!(
                "the message on topic {topic} has no Content-Type header; publish it as an event, or set the header to \
                 application/protobuf or application/json, or take it by raw_subscriber"
            ),
        ));
    };
    if content_type == Format::Protobuf.content_type().as_str().as_bytes() {
        return Ok(Format::Protobuf);
    }
    let text = String::from_utf8_lossy(content_type);
    let name = text.split(';').next().unwrap_or_default().trim();
    Format::of_content_type(name).ok_or_else(|| {
        Error::new(
            Kind::UnsupportedContentType,
            format!(
                "the message on topic {topic} has the Content-Type header {text:?}, which no codec reads; use \
                 application/protobuf, application/json or application/octet-stream"
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_found_without_case_and_its_parameters_are_left_out() {
        let headers: Headers = [("content-TYPE", "Application/JSON; charset=utf-8")].into_iter().collect();
        assert_eq!(format("orders", &headers).unwrap(), Format::Json);
    }

    #[test]
    fn an_error_names_the_header_and_the_topic() {
        let missing = format("orders", &Headers::new()).unwrap_err();
        assert!(
            missing.to_string().starts_with("the message on topic orders has no Content-Type header;"),
            "{missing}"
        );
        let unknown = format("orders", &[("Content-Type", "text/plain")].into_iter().collect()).unwrap_err();
        assert!(unknown.to_string().contains("Content-Type header \"text/plain\""), "{unknown}");
        assert_eq!(unknown.kind(), Kind::UnsupportedContentType);
    }
}
