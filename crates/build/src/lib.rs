//! From .proto files to handler traits and clients, for build.rs, without protoc.
