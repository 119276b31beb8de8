//! What `proto/greet.proto` says, in Rust: [`Request`], [`Response`], the trait [`Greeter`] and its client.

micro::include_proto!("greet");
