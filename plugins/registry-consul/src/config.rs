use std::time::Duration;

use micro_core::address::{Address, Secret};
use micro_core::tls::{ClientTls, TLS_PARAMS};
use micro_core::{Error, Kind, Result};

const DEFAULT_PORT: u16 = 8500;

/// Where Consul's own programs look for a token.
const TOKEN: &str = "CONSUL_HTTP_TOKEN";

const PARAMETERS: [&str; 5] = ["token", "domain", "timeout_ms", "wait_ms", "stale"];

/// Consul lets nobody wait longer.
const LONGEST_WAIT: u64 = 600_000;

/// What an address asks for; the table is in the documentation of [`Consul`](crate::Consul).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// `host:port` of the agent.
    pub(crate) server: String,
    pub(crate) token: Option<Secret>,
    /// Empty is go-micro's own world.
    pub(crate) domain: String,
    pub(crate) tls: Option<ClientTls>,
    /// For each call.
    pub(crate) timeout: Duration,
    /// How long a question of a watch waits for a change.
    pub(crate) wait: Duration,
    /// Any server may answer, also one that is behind or has no leader.
    pub(crate) stale: bool,
}

impl Config {
    pub(crate) fn read(address: &Address) -> Result<Self> {
        address.check_plugin(&["consul", "consuls"], "consul://host:8500", "another world of services is ?domain=")?;
        address.check_params(&[&PARAMETERS[..], &TLS_PARAMS[..]].concat())?;
        let millis =
            |name, default| Ok::<_, Error>(Duration::from_millis(address.positive(name, default)?.min(LONGEST_WAIT)));
        Ok(Self {
            server: server(address)?,
            token: token(address)?,
            domain: domain(address)?,
            tls: ClientTls::from_address_of(address, "consuls")?,
            timeout: millis("timeout_ms", 5_000)?,
            wait: millis("wait_ms", 30_000)?,
            stale: address.parsed("stale")?.unwrap_or(false),
        })
    }

    /// The address as it is shown, without the token.
    pub(crate) fn shown(&self) -> String {
        let domain = if self.domain.is_empty() { String::new() } else { format!("?domain={}", self.domain) };
        format!("{}://{}{domain}", if self.tls.is_some() { "consuls" } else { "consul" }, self.server)
    }
}

/// One agent: it keeps the checks of what was registered with it, so that two would list everything twice.
fn server(address: &Address) -> Result<String> {
    let mut servers = address.servers(DEFAULT_PORT)?;
    match servers.len() {
        1 => Ok(servers.swap_remove(0)),
        _ => Err(config(format!(
            "{address} names several agents; name the one of this machine, that answers for its services"
        ))),
    }
}

/// The parameter, else the password of the address, else the variable that Consul's own programs read.
fn token(address: &Address) -> Result<Option<Secret>> {
    let given = address.param("token").map(Secret::new).or_else(|| address.password().cloned());
    let token = given.or_else(|| std::env::var(TOKEN).ok().map(Secret::new)).filter(|t| !t.reveal().is_empty());
    match &token {
        Some(token) if !token.reveal().bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err(config("the token for Consul has characters that no token has".to_owned()))
        }
        _ => Ok(token),
    }
}

fn domain(address: &Address) -> Result<String> {
    let domain = address.param("domain").unwrap_or_default();
    let plain = domain.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if !plain || domain.len() > 63 {
        return Err(config(format!("domain={domain} of the address must have 1 to 63 letters, digits, - or _")));
    }
    Ok(domain.to_owned())
}

fn config(text: String) -> Error {
    Error::new(Kind::Config, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(address: &str) -> Result<Config> {
        Config::read(&Address::parse(address)?)
    }

    #[test]
    fn without_an_address_it_is_go_micros_agent() {
        let config = read("").unwrap();
        assert_eq!((config.server.as_str(), config.domain.as_str(), config.tls), ("127.0.0.1:8500", "", None));
        assert_eq!(read("consul://h").unwrap().server, "h:8500");
        assert_eq!(read("consul://[::1]").unwrap().server, "[::1]:8500");
        assert_eq!(read("[::1]:1").unwrap().server, "[::1]:1");
        assert_eq!(read("consuls://h").unwrap().tls, Some(ClientTls::new()));
        assert_eq!(read("consuls://h?tls=false").unwrap().tls, None);
    }

    #[test]
    fn the_token_is_a_parameter_or_the_password_and_never_shown() {
        for address in ["consul://h?token=hush", "consul://:hush@h", "consul://x:hush@h"] {
            let config = read(address).unwrap();
            assert_eq!(config.token.as_ref().map(Secret::reveal), Some("hush"), "{address}");
            assert!(!format!("{config:?} {}", config.shown()).contains("hush"));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (address, word) in [
            ("kafka://h", "consul://host:8500"),
            ("consul://h/path", "path"),
            ("consul://a,b", "several agents"),
            ("consul://h?tokn=1", "tokn"),
            ("consul://h?domain=a.b", "domain=a.b"),
            ("consul://h?timeout_ms=0", "timeout_ms=0"),
            ("consul://h?ca=/x", "tls=true"),
            ("consuls://h?cert=/x", "needs its key"),
            ("consul://h?token=a%0Ab", "token"),
        ] {
            let error = read(address).unwrap_err();
            assert!(error.kind() == Kind::Config && error.to_string().contains(word), "{error}");
        }
    }
}
