use serde::{Deserialize, Serialize};

/// A message without fields: `google.protobuf.Empty`. In JSON `{}`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, prost::Message)]
pub struct Empty {}
