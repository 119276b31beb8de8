//! Two lines make messages, handler trait and client out of the .proto, without protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    micro_build::compile(&["proto/greet.proto"])?;
    Ok(())
}
