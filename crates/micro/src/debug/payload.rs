//! The debug messages as bodies: protobuf and JSON.

use bytes::{Bytes, BytesMut};
use micro_core::Result;
use micro_core::codec::{Format, Payload, json, no_such_format, protobuf};

use super::messages::{
    CacheRequest, CacheResponse, HealthRequest, HealthResponse, LogRequest, Record, StatsRequest, StatsResponse,
    TraceRequest, TraceResponse,
};

macro_rules! payload {
    ($($message:ty),*) => {$(
        impl Payload for $message {
            const FORMATS: &'static [Format] = &[Format::Protobuf, Format::Json];

            fn encode(&self, format: Format, buffer: &mut BytesMut) -> Result<()> {
                match format {
                    Format::Protobuf => protobuf::encode(self, buffer),
                    Format::Json => json::encode(self, buffer),
                    other => Err(no_such_format::<Self>(other)),
                }
            }

            fn decode(format: Format, body: Bytes) -> Result<Self> {
                match format {
                    Format::Protobuf => protobuf::decode(body),
                    Format::Json => json::decode(body),
                    other => Err(no_such_format::<Self>(other)),
                }
            }

            fn size_hint(&self, _: Format) -> usize {
                prost::Message::encoded_len(self)
            }
        }
    )*};
}

payload!(
    HealthRequest,
    HealthResponse,
    StatsRequest,
    StatsResponse,
    LogRequest,
    Record,
    TraceRequest,
    TraceResponse,
    CacheRequest,
    CacheResponse
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_integers_are_text_in_json_and_read_as_either() {
        let mut buffer = BytesMut::new();
        StatsResponse { uptime: 7, ..StatsResponse::default() }.encode(Format::Json, &mut buffer).unwrap();
        let text = String::from_utf8(buffer.to_vec()).unwrap();
        assert!(text.contains(r#""uptime":"7""#), "{text}");
        for body in [r#"{"count":"3","since":0}"#, r#"{"count":3}"#] {
            let request = LogRequest::decode(Format::Json, Bytes::copy_from_slice(body.as_bytes())).unwrap();
            assert_eq!(request.count, 3);
        }
    }
}
