//! The broker that lives in this process.
