//! The messages of go-micro v2's debug.proto, which has no package.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// Asks whether the service is well.
#[derive(Clone, PartialEq, Serialize, Deserialize, prost::Message)]
#[serde(default)]
pub(crate) struct HealthRequest {
    #[prost(string, tag = "1")]
    pub(crate) service: String,
}

/// Says `ok`.
#[derive(Clone, PartialEq, Serialize, Deserialize, prost::Message)]
#[serde(default)]
pub(crate) struct HealthResponse {
    #[prost(string, tag = "1")]
    pub(crate) status: String,
}

/// Asks for numbers.
#[derive(Clone, PartialEq, Serialize, Deserialize, prost::Message)]
#[serde(default)]
pub(crate) struct StatsRequest {
    #[prost(string, tag = "1")]
    pub(crate) service: String,
}

/// The numbers of a process.
#[derive(Clone, PartialEq, Serialize, Deserialize, prost::Message)]
#[serde(default)]
pub(crate) struct StatsResponse {
    /// Unix seconds of this answer.
    #[prost(uint64, tag = "1")]
    pub(crate) timestamp: u64,
    /// Unix seconds of the start.
    #[prost(uint64, tag = "2")]
    pub(crate) started: u64,
    /// Seconds since then.
    #[prost(uint64, tag = "3")]
    pub(crate) uptime: u64,
    /// Resident bytes.
    #[prost(uint64, tag = "4")]
    pub(crate) memory: u64,
    #[prost(uint64, tag = "5")]
    pub(crate) threads: u64,
    /// Always 0: there is no garbage collector.
    #[prost(uint64, tag = "6")]
    pub(crate) gc: u64,
    #[prost(uint64, tag = "7")]
    pub(crate) requests: u64,
    #[prost(uint64, tag = "8")]
    pub(crate) errors: u64,
}

/// Asks for log lines.
#[derive(Clone, PartialEq, Serialize, Deserialize, prost::Message)]
#[serde(default)]
pub(crate) struct LogRequest {
    #[prost(string, tag = "1")]
    pub(crate) service: String,
    /// Goes on with new lines.
    #[prost(bool, tag = "2")]
    pub(crate) stream: bool,
    /// At most so many old lines; 0 is all.
    #[prost(int64, tag = "3")]
    pub(crate) count: i64,
    /// Old lines from this Unix second on.
    #[prost(int64, tag = "4")]
    pub(crate) since: i64,
}

/// One log line.
#[derive(Clone, PartialEq, Serialize, Deserialize, prost::Message)]
#[serde(default)]
pub(crate) struct Record {
    #[prost(int64, tag = "1")]
    pub(crate) timestamp: i64,
    #[prost(map = "string, string", tag = "2")]
    pub(crate) metadata: HashMap<String, String>,
    #[prost(string, tag = "3")]
    pub(crate) message: String,
}

/// Asks for spans: those of one trace, or the last ones.
#[derive(Clone, PartialEq, Serialize, Deserialize, prost::Message)]
#[serde(default)]
pub(crate) struct TraceRequest {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
}

/// The spans.
#[derive(Clone, PartialEq, Serialize, Deserialize, prost::Message)]
#[serde(default)]
pub(crate) struct TraceResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) spans: Vec<Span>,
}

/// One call or event.
#[derive(Clone, PartialEq, Serialize, Deserialize, prost::Message)]
#[serde(default)]
pub(crate) struct Span {
    #[prost(string, tag = "1")]
    pub(crate) trace: String,
    #[prost(string, tag = "2")]
    pub(crate) id: String,
    #[prost(string, tag = "3")]
    pub(crate) parent: String,
    #[prost(string, tag = "4")]
    pub(crate) name: String,
    /// Unix nanoseconds.
    #[prost(uint64, tag = "5")]
    pub(crate) started: u64,
    /// Nanoseconds.
    #[prost(uint64, tag = "6")]
    pub(crate) duration: u64,
    #[prost(map = "string, string", tag = "7")]
    pub(crate) metadata: HashMap<String, String>,
    /// 0 inbound, 1 outbound.
    #[prost(int32, tag = "8")]
    pub(crate) r#type: i32,
}

/// Asks what is cached.
#[derive(Clone, PartialEq, Serialize, Deserialize, prost::Message)]
pub(crate) struct CacheRequest {}

/// What is cached.
#[derive(Clone, PartialEq, Serialize, Deserialize, prost::Message)]
#[serde(default)]
pub(crate) struct CacheResponse {
    #[prost(map = "string, string", tag = "1")]
    pub(crate) values: HashMap<String, String>,
}
