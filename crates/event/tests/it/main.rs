//! The rules of typed publish and subscribe, each shown over the memory broker.

mod order;
mod publish;
mod subscribe;
mod support;
