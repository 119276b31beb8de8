//! What NATS answers, as our errors.

use std::error::Error as StdError;

use async_nats::{ConnectError, ConnectErrorKind};
use micro_core::{Error, Kind};

use crate::config::{Account, Config};

/// Why something failed.
#[derive(Debug, Clone)]
pub(crate) enum Failed {
    /// There is no connection, with what is known of it.
    Away(String),
    /// There is one, as far as is known, and what was sent did not come back in time.
    Late,
    /// The server does not let us in.
    Stranger,
    /// It lets us in, and not do this.
    Forbidden(String),
    /// A record is larger than it takes, both in bytes.
    Large { size: usize, most: usize },
    /// It cannot be asked before somebody changes a setting.
    Setting(String),
}

impl From<ConnectError> for Failed {
    fn from(error: ConnectError) -> Self {
        match error.kind() {
            ConnectErrorKind::AuthorizationViolation => Self::Stranger,
            ConnectErrorKind::Authentication => {
                Self::Setting(format!("the credentials cannot be used: {}", text_of(&error)))
            }
            ConnectErrorKind::TimedOut => Self::Late,
            _ => Self::Away(micro_tls::why(&error).unwrap_or_else(|| text_of(&error))),
        }
    }
}

impl Failed {
    /// Returns it as the caller's error.
    pub(crate) fn error(self, config: &Config, operation: &'static str) -> Error {
        let address = config.address();
        let error = match self {
            Self::Late => Error::new(
                Kind::Timeout,
                format!(
                    "NATS at {address} did not answer within {} s; see whether it hangs, or give it longer by timeout_ms=",
                    config.timeout.as_secs_f32()
                ),
            ),
            Self::Away(why) => {
                let hint = hint(&why, config);
                Error::new(Kind::Unavailable, format!("NATS at {address} cannot be reached; {hint}")).source(why)
            }
            Self::Stranger => Error::new(Kind::Unauthenticated, stranger(config)),
            Self::Forbidden(why) => Error::new(
                Kind::Forbidden,
                format!(
                    "NATS at {address} does not let us use the subjects of the registry; allow the account to publish and \
                     subscribe to {}, {} and _INBOX.>, and to publish what it is asked for",
                    config.query, config.watch
                ),
            )
            .source(why),
            Self::Large { size, most } => Error::new(
                Kind::TooLarge,
                format!(
                    "a record of {size} bytes is larger than NATS at {address} takes, {most}; say less in its metadata, or \
                     raise max_payload of the server"
                ),
            ),
            Self::Setting(why) => Error::new(Kind::Config, format!("NATS at {address} cannot be asked: {why}")),
        };
        error.operation(operation).with("address", address)
    }
}

fn stranger(config: &Config) -> String {
    let address = config.address();
    match &config.account {
        None => format!(
            "NATS at {address} asks who we are; give an account as nats://user:password@host, or by token= or creds="
        ),
        Some(Account::User { user, .. }) => {
            format!("NATS at {address} does not take the account {user}; check user and password")
        }
        Some(Account::Token(_)) => format!("NATS at {address} does not take the token; check it"),
        Some(Account::Credentials(file)) => {
            format!("NATS at {address} does not take the credentials of {}; check them", file.display())
        }
    }
}

/// What to do; what TLS says has its own advice.
fn hint(why: &str, config: &Config) -> String {
    let broke = ["broken pipe", "reset", "closed", "end of file"].iter().any(|text| why.to_lowercase().contains(text));
    let named = config.tls.as_ref().is_some_and(|tls| tls.get_identity().is_some());
    match &config.tls {
        None if why.contains("certificate") => {
            format!("it speaks TLS; add tls=true, and ca= if its authority is not the system's: {why}")
        }
        // Some servers only say that it is bad.
        Some(_) if !named && why.contains("our certificate") => {
            "it wants a certificate: name ours by cert= and its key by key=".to_owned()
        }
        // Of some only the end of the connection is seen.
        Some(_) if !named && broke => "does it speak TLS? Else leave out tls=true. Does it want a certificate? Then \
             name ours by cert= and its key by key="
            .to_owned(),
        Some(_) if why.contains("certificate") => why.to_owned(),
        Some(_) if why.contains("no TLS") || why.contains("TLS") => {
            format!("{why}; is it without TLS? Then leave out tls=true")
        }
        _ => "does it run, and is the address right?".to_owned(),
    }
}

/// Returns an error with its causes, as one text.
pub(crate) fn text_of(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |&cause| cause.source()).take(8) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use micro_core::address::Address;

    use super::*;

    #[test]
    fn what_to_do_depends_on_how_a_connection_broke_and_on_what_was_given() {
        for (address, why, word) in [
            ("natss://h", "it did not believe our certificate (BadCertificate)", "name ours by cert="),
            ("natss://h", "IO error: Connection reset by peer (os error 104)", "name ours by cert="),
            ("natss://h?cert=/c&key=/k", "it did not believe our certificate (BadCertificate)", "did not believe"),
            ("natss://h", "its certificate is of an authority that is not believed", "not believed"),
            ("nats://h", "its certificate is of an authority that is not believed", "add tls=true"),
            ("natss://h", "what it answers is no TLS; it may listen in plain", "leave out tls=true"),
            ("nats://h", "IO error: Connection refused (os error 111)", "is the address right?"),
        ] {
            let config = Config::read(&Address::parse(address).unwrap()).unwrap();
            let hint = hint(why, &config);
            assert!(hint.contains(word), "{address}: {why}: {hint}");
        }
    }
}
