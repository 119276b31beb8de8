//! Writes the code that the tests compile and compare: run it after a change of the generator, and read the difference.
//!
//! ```text
//! cargo run --package micro-build --example fixtures
//! ```

fn main() -> Result<(), micro_build::Error> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    std::env::set_current_dir(&folder).expect("the folder of the tests is there");
    micro_build::configure().codegen("::micro_rpc::codegen").out_dir("generated").compile(&[
        "proto/kinds/v1/kinds.proto",
        "proto/kinds/money.proto",
        "proto/rootless.proto",
        "proto/legacy.proto",
        "proto/calls/calls.proto",
        "proto/words.proto",
        "proto/sample.proto",
    ])
}
