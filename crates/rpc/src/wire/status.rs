//! `grpc-status`, `grpc-message` and `grpc-status-details-bin`, and what they mean as our error.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use micro_core::error::WireError;
use micro_core::{Error, Kind};
use prost::Message;

use super::failure::Failure;
use super::{base64, json, percent};

pub(crate) const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// Stands beside the status of a call that the server did not begin. gRPC has no word for it: its own refusals end the
/// stream without a status, so that nobody hears why.
const NOT_RUN: HeaderName = HeaderName::from_static("micro-not-run");

/// Who speaks in an error that this side made.
pub(crate) const CLIENT: &str = "go.micro.client";

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, prost::Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

/// Returns the gRPC code of go-micro's code: its table, which has no more.
pub(crate) fn grpc_code(code: i32) -> u8 {
    match code {
        200 => 0,
        400 => 3,
        401 => 16,
        403 => 7,
        404 => 5,
        408 => 4,
        409 => 6,
        412 => 9,
        500 => 13,
        501 => 12,
        503 => 14,
        _ => 2,
    }
}

/// Returns the trailers of a call that went well.
pub(crate) fn ok() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(STATUS, HeaderValue::from_static("0"));
    trailers
}

/// Writes how a call failed.
pub(crate) fn write(failure: &Failure, service: &str, trailers: &mut HeaderMap) {
    let grpc = failure.grpc();
    trailers.insert(STATUS, HeaderValue::from(u16::from(grpc)));
    if matches!(failure, Failure::Refused { .. }) {
        trailers.insert(NOT_RUN, HeaderValue::from_static("1"));
    }
    let message = match (failure, failure.wire(service)) {
        (Failure::Plain { text, .. }, _) => text.clone(),
        (_, Some(wire)) => {
            let message = json::encode(&wire);
            if matches!(failure, Failure::Error(_)) {
                let any =
                    Any { type_url: "type.googleapis.com/errors.Error".to_owned(), value: wire.encode_to_vec().into() };
                let status = RpcStatus { code: grpc.into(), message: message.clone(), details: vec![any] };
                if let Ok(value) = HeaderValue::try_from(base64::encode(&status.encode_to_vec())) {
                    trailers.insert(DETAILS, value);
                }
            }
            message
        }
        (_, None) => String::new(),
    };
    if let Ok(value) = HeaderValue::try_from(percent::encode(&message)) {
        trailers.insert(MESSAGE, value);
    }
}

/// Tells whether the server says that it did not begin the call.
pub(crate) fn is_not_run(head: &HeaderMap) -> bool {
    head.contains_key(NOT_RUN)
}

/// Reads how a call went. `None` if these headers have no status.
pub(crate) fn read(headers: &HeaderMap) -> Option<Result<(), Error>> {
    let status = headers.get(STATUS)?.as_bytes();
    if status == b"0" {
        return Some(Ok(()));
    }
    let grpc = std::str::from_utf8(status).ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let message = headers.get(MESSAGE).map(|value| percent::decode(value.as_bytes())).unwrap_or_default();
    let details = || details(headers.get(DETAILS)?);
    Some(Err(match details().or_else(|| json::decode(&message)) {
        Some(wire) => {
            let kind = kind_of(grpc, wire.code);
            let code = wire.code;
            Error::new(kind, wire.detail).id(wire.id).with_code(code)
        }
        None => plain(grpc, message),
    }))
}

/// go-micro's code says less than gRPC's in a few places, where both are there.
fn kind_of(grpc: i32, code: i32) -> Kind {
    match (grpc, code) {
        (13, 400) => Kind::Decode,
        (1, _) => Kind::Cancelled,
        _ => Kind::from_code(code),
    }
}

/// The error of a server that is none of go-micro's: the code by gRPC's meaning.
fn plain(grpc: i32, message: String) -> Error {
    let kind = match grpc {
        1 => Kind::Cancelled,
        3 | 11 => Kind::InvalidArgument,
        4 => Kind::Timeout,
        5 => Kind::NotFound,
        6 | 10 => Kind::Conflict,
        7 => Kind::Forbidden,
        8 => Kind::ResourceExhausted,
        9 => Kind::FailedPrecondition,
        12 => Kind::UnknownEndpoint,
        13 => Kind::Internal,
        14 => Kind::Unavailable,
        15 => Kind::Corrupt,
        16 => Kind::Unauthenticated,
        _ => Kind::Unknown,
    };
    Error::new(kind, message).id(CLIENT)
}

fn details(value: &HeaderValue) -> Option<WireError> {
    let status = RpcStatus::decode(Bytes::from(base64::decode(value.as_bytes())?)).ok()?;
    let any = status.details.into_iter().next()?;
    if !any.type_url.ends_with("/errors.Error") {
        return None;
    }
    WireError::decode(any.value).ok().filter(|error| error.code != 0)
}

/// Returns the error of an HTTP status that is not 200: the other side is a proxy, or no gRPC server.
pub(crate) fn http_error(status: StatusCode) -> Error {
    let kind = match status.as_u16() {
        401 => Kind::Unauthenticated,
        403 => Kind::Forbidden,
        404 => Kind::UnknownEndpoint,
        415 => Kind::UnsupportedContentType,
        431 => Kind::TooLarge,
        429 | 502..=504 => Kind::Unavailable,
        _ => Kind::Unknown,
    };
    let text = format!("the answer is HTTP {status}, not gRPC; look whether a gRPC server listens at this address");
    Error::new(kind, text).id(CLIENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_written_byte_for_byte_as_go_micro_does() {
        let mut trailers = HeaderMap::new();
        write(&Error::not_found("greeter", "no such é%").into(), "greeter", &mut trailers);
        assert_eq!(trailers[STATUS], "5");
        assert_eq!(
            trailers[MESSAGE],
            r#"{"id":"greeter","code":404,"detail":"no such %C3%A9%25","status":"Not Found"}"#
        );
        let details = base64::decode(trailers[DETAILS].as_bytes()).unwrap();
        let hex: String = details.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(hex.starts_with("080512477b22"), "{hex}");
        assert!(
            hex.ends_with(
                "1a480a20747970652e676f6f676c65617069732e636f6d2f6572726f72732e4572726f7212240a076772656574657210\
                 94031a0b6e6f207375636820c3a92522094e6f7420466f756e64"
            ),
            "{hex}"
        );
    }

    #[test]
    fn details_go_before_the_message_and_the_message_before_the_code() {
        let mut trailers = HeaderMap::new();
        write(&Error::conflict("shop", "order exists").into(), "", &mut trailers);
        trailers.insert(MESSAGE, HeaderValue::from_static("other"));
        let error = read(&trailers).unwrap().unwrap_err();
        assert_eq!((error.kind(), error.get_id(), error.detail()), (Kind::Conflict, "shop", "order exists"));

        trailers.remove(DETAILS);
        trailers.insert(MESSAGE, HeaderValue::from_static(r#"{"id":"a","code":403,"detail":"no"}"#));
        assert_eq!(read(&trailers).unwrap().unwrap_err().kind(), Kind::Forbidden);

        trailers.insert(MESSAGE, HeaderValue::from_static("order exists"));
        let error = read(&trailers).unwrap().unwrap_err();
        assert_eq!((error.kind(), error.code(), error.get_id()), (Kind::Conflict, 409, CLIENT));
    }

    #[test]
    fn details_of_another_type_are_passed_over() {
        let any = Any { type_url: "type.googleapis.com/google.rpc.ErrorInfo".into(), value: Bytes::from_static(b"x") };
        let status = RpcStatus { code: 5, message: "x".into(), details: vec![any] };
        let mut trailers = HeaderMap::new();
        trailers.insert(STATUS, HeaderValue::from_static("5"));
        trailers.insert(MESSAGE, HeaderValue::from_static("gone"));
        trailers.insert(DETAILS, HeaderValue::try_from(base64::encode(&status.encode_to_vec())).unwrap());
        let error = read(&trailers).unwrap().unwrap_err();
        assert_eq!((error.kind(), error.detail()), (Kind::NotFound, "gone"));
    }

    #[test]
    fn the_code_table_is_go_micros() {
        let table =
            [(400, 3), (401, 16), (403, 7), (404, 5), (408, 4), (409, 6), (412, 9), (500, 13), (501, 12), (503, 14)];
        for (code, grpc) in table {
            assert_eq!(grpc_code(code), grpc, "{code}");
        }
        for code in [0, 402, 413, 429, 502, 504] {
            assert_eq!(grpc_code(code), 2, "{code}");
        }
    }
}
