//! #[subscriber] and #[derive(Payload)].
