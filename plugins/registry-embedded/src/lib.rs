//! The embedded registry: services of one machine, no server.
