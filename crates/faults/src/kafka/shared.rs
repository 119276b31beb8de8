use std::path::PathBuf;

use super::distribution::variable;
use crate::{Failure, Result};

pub(super) const PLAIN: &str = "MICRO_TEST_KAFKA";
pub(super) const SSL: &str = "MICRO_TEST_KAFKA_SSL";
pub(super) const SASL_SSL: &str = "MICRO_TEST_KAFKA_SASL_SSL";
pub(super) const SASL_PLAINTEXT: &str = "MICRO_TEST_KAFKA_SASL_PLAINTEXT";
pub(super) const CA: &str = "MICRO_TEST_KAFKA_CA";
pub(super) const OTHER_CA: &str = "MICRO_TEST_KAFKA_OTHER_CA";

/// The secure server of one node that all tests of a run share: each takes topics and groups with names of its own.
#[derive(Debug, Clone)]
pub struct Shared {
    bootstrap: String,
    ssl: String,
    sasl_ssl: String,
    sasl_plaintext: String,
    ca: PathBuf,
    other_ca: PathBuf,
}

/// Returns the server that the test command has started, from the variables that it sets.
///
/// # Errors
///
/// If they are not set.
pub fn shared() -> Result<Shared> {
    let value = |name: &str| {
        variable(name).ok_or_else(|| {
            Failure::new(format!(
                "{name} is not set, so there is no Kafka for this test; run it by `cargo xtask test -- -p <package>`, \
                 or run `cargo xtask services` in another terminal and export what it prints"
            ))
        })
    };
    Ok(Shared {
        bootstrap: value(PLAIN)?,
        ssl: value(SSL)?,
        sasl_ssl: value(SASL_SSL)?,
        sasl_plaintext: value(SASL_PLAINTEXT)?,
        ca: value(CA)?.into(),
        other_ca: value(OTHER_CA)?.into(),
    })
}

impl Shared {
    /// Returns the address of the plain listener.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        self.bootstrap.clone()
    }

    /// Returns the address of the listener with TLS.
    #[must_use]
    pub fn ssl(&self) -> String {
        self.ssl.clone()
    }

    /// Returns the address of the listener with TLS and a login.
    #[must_use]
    pub fn sasl_ssl(&self) -> String {
        self.sasl_ssl.clone()
    }

    /// Returns the address of the listener with a login and no TLS.
    #[must_use]
    pub fn sasl_plaintext(&self) -> String {
        self.sasl_plaintext.clone()
    }

    /// Returns the PEM file of the authority that signed the server's certificate.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.ca.clone()
    }

    /// Returns the PEM file of an authority that signed nothing here.
    #[must_use]
    pub fn other_ca(&self) -> PathBuf {
        self.other_ca.clone()
    }
}
