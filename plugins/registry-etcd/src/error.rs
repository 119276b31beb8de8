//! What etcd answers, as our errors.

use std::error::Error as _;
use std::time::Duration;

use micro_core::{Error, Kind};
use tonic::{Code, Status};

use crate::config::{Config, text_of};

/// Why an attempt failed.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The server answered so.
    Answer(Status),
    /// It could not be asked, or the connection broke.
    Broken(String),
    /// It did not answer in time.
    Late,
    /// It cannot be asked before somebody changes a setting.
    Setting(Error),
}

impl From<Status> for Failed {
    fn from(status: Status) -> Self {
        // What a server sends has no cause here.
        match status.source() {
            Some(cause) if !says(&status, "decoded message length too large") => Self::Broken(text_of(cause)),
            _ => Self::Answer(status),
        }
    }
}

impl Failed {
    /// Tells whether another server, or another connection, may do better.
    pub(crate) fn passes(&self) -> bool {
        match self {
            Self::Answer(status) => matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded),
            Self::Broken(_) | Self::Late => true,
            Self::Setting(_) => false,
        }
    }

    /// Tells whether the server does not know our token, or not any more.
    pub(crate) fn wants_token(&self) -> bool {
        match self {
            Self::Answer(status) => {
                let old = ["revision of auth store is old", "user name is empty"];
                status.code() == Code::Unauthenticated || old.iter().any(|text| says(status, text))
            }
            _ => false,
        }
    }

    /// Tells whether a lease is not there any more.
    pub(crate) fn lost_lease(&self) -> bool {
        matches!(self, Self::Answer(status) if status.code() == Code::NotFound && says(status, "lease not found"))
    }

    /// Tells whether a lease is there already.
    pub(crate) fn has_lease(&self) -> bool {
        matches!(self, Self::Answer(status) if says(status, "lease already exists"))
    }

    /// Tells whether it is sure that nothing was done.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Answer(_) | Self::Setting(_)) && !self.passes()
    }

    /// Returns it as the caller's error.
    pub(crate) fn error(self, config: &Config, operation: &'static str) -> Error {
        let address = config.address();
        let error = match self {
            Self::Setting(error) => error,
            Self::Late => Error::new(
                Kind::Timeout,
                format!(
                    "etcd at {address} did not answer within {}; see whether it hangs, or give it longer by timeout_ms=",
                    seconds(config.timeout)
                ),
            ),
            Self::Broken(why) => {
                let hint = hint(&why, config);
                Error::new(Kind::Unavailable, format!("etcd at {address} cannot be reached; {hint}")).source(why)
            }
            Self::Answer(status) => answer(&status, config),
        };
        error.operation(operation).with("address", address)
    }
}

fn answer(status: &Status, config: &Config) -> Error {
    let address = config.address();
    let (kind, text) = match status.code() {
        _ if says(status, "too large") || says(status, "larger than max") => (
            Kind::TooLarge,
            "a record is larger than etcd takes, 1.5 MiB by default; say less in its metadata, or raise \
             --max-request-bytes of the server"
                .to_owned(),
        ),
        Code::InvalidArgument if says(status, "authentication failed") => (
            Kind::Unauthenticated,
            format!("etcd at {address} does not take the account {}; check user and password", user(config)),
        ),
        Code::InvalidArgument if says(status, "user name is empty") => (
            Kind::Unauthenticated,
            format!(
                "etcd at {address} asks for an account; give it as etcd://user:password@host, or by ETCD_USERNAME and \
                 ETCD_PASSWORD"
            ),
        ),
        Code::Unauthenticated => (
            Kind::Unauthenticated,
            format!("etcd at {address} refuses the token that it gave to {}; look into its log", user(config)),
        ),
        Code::PermissionDenied => (
            Kind::Forbidden,
            format!(
                "the account {} may not use the keys of the registry in etcd at {address}; grant it by: etcdctl role \
                 grant-permission ROLE --prefix=true readwrite {}",
                user(config),
                config.prefix
            ),
        ),
        Code::ResourceExhausted if says(status, "space exceeded") => (
            Kind::DiskFull,
            format!("the database of etcd at {address} is full; compact and defragment it, then: etcdctl alarm disarm"),
        ),
        Code::ResourceExhausted => {
            (Kind::ResourceExhausted, format!("etcd at {address} has too much to do; try later"))
        }
        Code::Unavailable => {
            (Kind::Unavailable, format!("etcd at {address} cannot serve now; has its cluster a majority and a leader?"))
        }
        Code::DeadlineExceeded => {
            (Kind::Timeout, format!("etcd at {address} gave up; it is overloaded, or has no leader"))
        }
        Code::Aborted => {
            (Kind::Conflict, format!("others change the same record in etcd at {address} again and again; try later"))
        }
        Code::Unimplemented | Code::Unknown | Code::Internal => (
            Kind::Unavailable,
            format!("what listens at {address} does not answer as etcd 3.4 or newer does; check the address"),
        ),
        _ => (Kind::Internal, format!("etcd at {address} refused what was asked")),
    };
    Error::new(kind, text).source(format!("{:?}: {}", status.code(), status.message()))
}

/// What to look for when a connection breaks.
fn hint(why: &str, config: &Config) -> &'static str {
    let says = |text: &str| why.contains(text);
    let (tls, broke) = (config.is_tls(), says("broken pipe") || says("connection reset") || says("closed"));
    let refused = says("fatal alert") && says("Certificate");
    if tls && (says("may speak no TLS") || says("is no TLS")) {
        "is it without TLS? Then leave out tls=true"
    } else if says("UnknownIssuer") || says("BadSignature") {
        "its certificate is of no authority that is trusted; name the right one by ca="
    } else if (broke || refused) && config.tls.as_ref().is_some_and(|tls| tls.get_identity().is_none()) {
        // Refused after the handshake, so that sometimes only the end of the connection is seen.
        "does it run, and does it want a certificate? Then name ours by cert= and key="
    } else if says("certificate") || refused {
        "check the certificates: ca=, cert= and key="
    } else if !tls && (broke || says("frame")) {
        "does it run, and does it want TLS? Then add tls=true"
    } else {
        "does it run, and is the address right?"
    }
}

fn user(config: &Config) -> &str {
    config.account.as_ref().map_or("without a name", |account| &account.user)
}

fn says(status: &Status, text: &str) -> bool {
    status.message().contains(text)
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f32())
}

#[cfg(test)]
mod tests {
    use micro_core::address::Address;

    use super::*;

    #[test]
    fn what_to_do_depends_on_how_a_connection_broke_and_on_what_was_given() {
        for (address, why, word) in [
            ("etcds://h", "received fatal alert: BadCertificate", "name ours by cert= and key="),
            ("etcds://h", "received fatal alert: CertificateRequired", "name ours by cert= and key="),
            ("etcds://h", "stream closed because of a broken pipe", "name ours by cert= and key="),
            ("etcds://h?cert=/c&key=/k", "received fatal alert: BadCertificate", "check the certificates"),
            ("etcds://h?cert=/c&key=/k", "invalid peer certificate: UnknownIssuer", "the right one by ca="),
            ("etcds://h", "invalid peer certificate: UnknownIssuer", "the right one by ca="),
            ("etcd://h", "stream closed because of a broken pipe", "add tls=true"),
            ("etcd://h", "tcp connect error", "is the address right?"),
        ] {
            let config = Config::read(&Address::parse(address).unwrap(), |_| None).unwrap();
            let hint = hint(why, &config);
            assert!(hint.contains(word), "{address}: {why}: {hint}");
        }
    }
}
