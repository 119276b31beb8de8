use std::fmt;

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Protobuf.
    Protobuf,
    /// JSON by the rule of [`codec::json`](super::json).
    Json,
    /// Whatever it is, untouched.
    Bytes,
}

impl Format {
    /// Returns the short name: `proto`, `json`, `bytes`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Protobuf => "proto",
            Self::Json => "json",
            Self::Bytes => "bytes",
        }
    }

    /// Returns the content type that an event carries.
    #[must_use]
    pub const fn content_type(self) -> ContentType {
        ContentType(match self {
            Self::Protobuf => "application/protobuf",
            Self::Json => "application/json",
            Self::Bytes => "application/octet-stream",
        })
    }

    /// Returns the content type that stands on a gRPC call.
    #[must_use]
    pub const fn grpc_content_type(self) -> ContentType {
        ContentType(match self {
            Self::Protobuf => "application/grpc+proto",
            Self::Json => "application/grpc+json",
            Self::Bytes => "application/grpc+bytes",
        })
    }

    /// Finds the format of a content type: go-micro's table, exact but for case.
    #[must_use]
    pub fn of_content_type(content_type: &str) -> Option<Self> {
        const TABLE: [(&str, Format); 10] = [
            ("application/grpc+proto", Format::Protobuf),
            ("application/protobuf", Format::Protobuf),
            ("application/json", Format::Json),
            ("application/grpc", Format::Protobuf),
            ("application/grpc+json", Format::Json),
            ("application/grpc+bytes", Format::Bytes),
            ("application/proto", Format::Protobuf),
            ("application/x-protobuf", Format::Protobuf),
            ("application/octet-stream", Format::Bytes),
            ("application/bytes", Format::Bytes),
        ];
        TABLE.iter().find(|(known, _)| known.eq_ignore_ascii_case(content_type)).map(|(_, format)| *format)
    }
}

/// A content type of the framework's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentType(&'static str);

impl ContentType {
    /// Returns the text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for ContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
