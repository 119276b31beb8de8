//! RPC over gRPC: client and server.
