//! Compiles the .proto files; nothing needs to be installed for it.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    micro_build::compile(&["proto/pubsub.proto", "proto/orders_v1.proto", "proto/orders_v2.proto"])?;
    Ok(())
}
