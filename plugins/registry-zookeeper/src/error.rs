//! What ZooKeeper answers, as our errors.

use micro_core::{Error, Kind};
use zookeeper_client::Error as Zk;

use crate::config::Config;

/// Why something failed.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The server, or the client library, answered so.
    Answer(Zk),
    /// There was no answer in time, with a connection that is open, as far as is known.
    Late,
    /// There is no connection, as the client library says it.
    Away(String),
    /// The data of a node is too large.
    Large(usize),
}

impl From<Zk> for Failed {
    fn from(error: Zk) -> Self {
        match error {
            Zk::NoHosts | Zk::ConnectionLoss | Zk::SessionExpired | Zk::ClientClosed | Zk::Custom(_) => {
                Self::Away(error.to_string())
            }
            Zk::Timeout => Self::Late,
            other => Self::Answer(other),
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
                    "ZooKeeper at {address} did not answer within {} s; see whether it hangs, or give it longer by timeout_ms=",
                    config.timeout.as_secs_f32()
                ),
            ),
            Self::Away(why) => Error::new(
                Kind::Unavailable,
                format!("ZooKeeper at {address} cannot be reached; does it run, and is the address right?"),
            )
            .source(why),
            Self::Large(size) => Error::new(
                Kind::TooLarge,
                format!("a record of {size} bytes is larger than ZooKeeper takes, 1 MiB; say less in its metadata"),
            ),
            Self::Answer(answer) => told(&answer, config),
        };
        error.operation(operation).with("address", address)
    }
}

fn told(answer: &Zk, config: &Config) -> Error {
    let address = config.address();
    let (kind, text) = match answer {
        Zk::NoAuth => (
            Kind::Forbidden,
            format!(
                "{} may not use {} in ZooKeeper at {address}; check user and password, or the ACL of that path (setAcl)",
                config
                    .account
                    .as_ref()
                    .map_or_else(|| "who has no account".to_owned(), |a| format!("the account {}", a.user)),
                config.root
            ),
        ),
        Zk::AuthFailed => (
            Kind::Unauthenticated,
            format!("ZooKeeper at {address} does not take the account; check user and password"),
        ),
        Zk::BadArguments(why) => (Kind::InvalidArgument, format!("a name cannot be a path of ZooKeeper: {why}")),
        Zk::Unimplemented => {
            (Kind::Config, format!("ZooKeeper at {address} is too old for watches that last; it must be 3.6 or newer"))
        }
        Zk::Throttled => (Kind::ResourceExhausted, format!("ZooKeeper at {address} has too much to do; try later")),
        Zk::QuotaExceeded => (
            Kind::ResourceExhausted,
            format!("the quota of {} in ZooKeeper at {address} is full (setquota)", config.root),
        ),
        Zk::BadVersion | Zk::NodeExists | Zk::NoNode => (
            Kind::Conflict,
            format!("others change the same record in ZooKeeper at {address} again and again; try later"),
        ),
        Zk::NotReadOnly => {
            (Kind::Unavailable, format!("ZooKeeper at {address} is cut off from its ensemble and takes no writes"))
        }
        _ => (
            Kind::Unavailable,
            format!("what listens at {address} does not answer as ZooKeeper does; check the address"),
        ),
    };
    Error::new(kind, text).source(answer.to_string())
}
