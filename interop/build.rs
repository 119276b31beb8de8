//! Compiles the .proto; nothing needs to be installed for it.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    micro_build::configure().codegen("::micro_rpc::codegen").compile(&["proto/greeter.proto"])?;
    Ok(())
}
