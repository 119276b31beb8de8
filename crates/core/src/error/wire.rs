use serde::{Deserialize, Serialize};

use super::{Error, Kind};

/// go-micro's `errors.Error`, as protobuf (package `errors`) and as the JSON that stands in `grpc-message`.
///
/// Empty fields are left out of the JSON, as Go's `omitempty` does.
#[derive(Clone, PartialEq, Serialize, Deserialize, prost::Message)]
pub struct WireError {
    /// Who speaks.
    #[prost(string, tag = "1")]
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The HTTP-like code.
    #[prost(int32, tag = "2")]
    #[serde(default, skip_serializing_if = "is_zero")]
    pub code: i32,
    /// The text.
    #[prost(string, tag = "3")]
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The HTTP status text of the code.
    #[prost(string, tag = "4")]
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub status: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_zero(code: &i32) -> bool {
    *code == 0
}

impl From<&Error> for WireError {
    fn from(error: &Error) -> Self {
        Self {
            id: error.get_id().to_owned(),
            code: error.code(),
            detail: error.to_string(),
            status: status_text(error.code()).to_owned(),
        }
    }
}

impl From<WireError> for Error {
    fn from(wire: WireError) -> Self {
        Self::new(Kind::from_code(wire.code), wire.detail).id(wire.id).with_code(wire.code)
    }
}

/// Returns the HTTP status text of a code as Go's `http.StatusText` gives it, empty where Go knows none.
#[must_use]
pub fn status_text(code: i32) -> &'static str {
    u16::try_from(code)
        .ok()
        .and_then(|code| http::StatusCode::from_u16(code).ok())
        .and_then(|status| status.canonical_reason())
        .unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_is_go_micros() {
        let wire = WireError::from(&Error::not_found("greeter", "no such é%"));
        assert_eq!(
            serde_json::to_string(&wire).unwrap(),
            r#"{"id":"greeter","code":404,"detail":"no such é%","status":"Not Found"}"#
        );
    }

    #[test]
    fn a_kind_survives_the_wire_by_its_code() {
        let back = Error::from(WireError::from(&Error::conflict("shop", "order exists")));
        assert_eq!((back.kind(), back.code(), back.get_id()), (Kind::Conflict, 409, "shop"));
    }
}
