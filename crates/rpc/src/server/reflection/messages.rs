//! The messages of `grpc.reflection.v1`, by hand: the generator stands above this crate.

use bytes::Bytes;

use crate::wire::message::payload;

/// `ServerReflectionRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Request {
    #[prost(string, tag = "1")]
    pub(super) host: String,
    #[prost(oneof = "Ask", tags = "3, 4, 5, 6, 7")]
    pub(super) ask: Option<Ask>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Ask {
    #[prost(string, tag = "3")]
    FileByFilename(String),
    #[prost(string, tag = "4")]
    FileContainingSymbol(String),
    #[prost(message, tag = "5")]
    FileContainingExtension(ExtensionRequest),
    #[prost(string, tag = "6")]
    AllExtensionNumbersOfType(String),
    #[prost(string, tag = "7")]
    ListServices(String),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ExtensionRequest {
    #[prost(string, tag = "1")]
    pub(super) containing_type: String,
    #[prost(int32, tag = "2")]
    pub(super) extension_number: i32,
}

/// `ServerReflectionResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Response {
    #[prost(string, tag = "1")]
    pub(super) valid_host: String,
    #[prost(message, optional, tag = "2")]
    pub(super) original_request: Option<Request>,
    #[prost(oneof = "Answer", tags = "4, 5, 6, 7")]
    pub(super) answer: Option<Answer>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Answer {
    #[prost(message, tag = "4")]
    FileDescriptors(FileDescriptors),
    #[prost(message, tag = "5")]
    AllExtensionNumbers(ExtensionNumbers),
    #[prost(message, tag = "6")]
    ListServices(ListServices),
    #[prost(message, tag = "7")]
    Error(ErrorResponse),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct FileDescriptors {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub(super) file_descriptor_proto: Vec<Bytes>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ExtensionNumbers {
    #[prost(string, tag = "1")]
    pub(super) base_type_name: String,
    #[prost(int32, repeated, tag = "2")]
    pub(super) extension_number: Vec<i32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ListServices {
    #[prost(message, repeated, tag = "1")]
    pub(super) service: Vec<ServiceName>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ServiceName {
    #[prost(string, tag = "1")]
    pub(super) name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ErrorResponse {
    #[prost(int32, tag = "1")]
    pub(super) error_code: i32,
    #[prost(string, tag = "2")]
    pub(super) error_message: String,
}

payload!(Request, Response);
