//! The transport suite, on client and server.

mod grpc;

micro_conformance::transport_cases!(grpc::Grpc);
