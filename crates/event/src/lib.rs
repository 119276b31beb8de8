//! Typed publish and subscribe over any broker.
