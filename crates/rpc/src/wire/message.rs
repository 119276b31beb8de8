//! The few messages of gRPC's own services.

/// Makes prost messages bodies of calls.
macro_rules! payload {
    ($($message:ty),+) => {$(
        impl micro_core::codec::Payload for $message {
            const FORMATS: &'static [micro_core::codec::Format] = &[micro_core::codec::Format::Protobuf];

            fn encode(
                &self,
                format: micro_core::codec::Format,
                buffer: &mut bytes::BytesMut,
            ) -> micro_core::Result<()> {
                match format {
                    micro_core::codec::Format::Protobuf => micro_core::codec::protobuf::encode(self, buffer),
                    _ => Err(micro_core::codec::no_such_format::<Self>(format)),
                }
            }

            fn decode(format: micro_core::codec::Format, body: bytes::Bytes) -> micro_core::Result<Self> {
                match format {
                    micro_core::codec::Format::Protobuf => micro_core::codec::protobuf::decode(body),
                    _ => Err(micro_core::codec::no_such_format::<Self>(format)),
                }
            }

            fn size_hint(&self, _: micro_core::codec::Format) -> usize {
                prost::Message::encoded_len(self)
            }
        }
    )+};
}

pub(crate) use payload;
