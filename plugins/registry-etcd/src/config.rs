use std::time::Duration;

use micro_core::address::{Address, Secret};
use micro_core::tls::{ClientTls, TLS_PARAMS};
use micro_core::{Error, Kind, Result};
use tonic::transport::Endpoint;

use crate::keys;

const DEFAULT_PORT: u16 = 2379;
const PARAMETERS: &[&str] = &["domain", "timeout_ms"];

/// How long nothing is heard before a peer is asked whether it lives. Servers close the connection of who asks more often
/// than every 5 s.
const PING: Duration = Duration::from_secs(6);
const PONG: Duration = Duration::from_secs(4);

/// What an address asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    /// `host:port` of each.
    pub(crate) servers: Vec<String>,
    pub(crate) account: Option<Account>,
    /// What every key begins with.
    pub(crate) prefix: String,
    /// Of a call as a whole.
    pub(crate) timeout: Duration,
    pub(crate) tls: Option<ClientTls>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Account {
    pub(crate) user: String,
    pub(crate) password: Secret,
}

impl Config {
    /// Reads an address; no I/O is done. `variable` reads the environment.
    pub(crate) fn read(address: &Address, variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        address.check_plugin(
            &["etcd", "etcds"],
            "etcd://host:2379,host:2379",
            "write ?domain=name to keep records apart from others",
        )?;
        address.check_params(&[PARAMETERS, &TLS_PARAMS[..]].concat())?;
        let domain = address.param("domain").unwrap_or(keys::DOMAIN);
        if domain.is_empty() || domain.contains('/') {
            return Err(config(format!("domain={domain} of the address must be a name without a slash")));
        }
        Ok(Self {
            servers: address.servers(DEFAULT_PORT)?,
            account: account(address, variable)?,
            prefix: keys::prefix(domain),
            timeout: Duration::from_millis(address.positive("timeout_ms", 5_000)?),
            tls: ClientTls::from_address_of(address, "etcds")?,
        })
    }

    /// Returns the servers as one text, without secrets.
    pub(crate) fn address(&self) -> String {
        self.servers.join(",")
    }

    /// Returns whether the servers are spoken to by TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Returns how a server is dialled; TLS is spoken below it.
    pub(crate) fn endpoint(&self, server: &str) -> Result<Endpoint> {
        let endpoint = Endpoint::from_shared(format!("http://{server}")).map_err(|error| {
            config(format!("etcd cannot be dialled at {server}; check the address")).source(text_of(&error))
        })?;
        Ok(endpoint
            .connect_timeout(self.timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING)
            .keep_alive_timeout(PONG))
    }
}

/// The account of the address, else that of the environment, as go-micro reads it.
fn account(address: &Address, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Account>> {
    let given = |name| variable(name).filter(|value| !value.is_empty());
    if let Some((user, password)) = address.account("etcd://user:password@host")? {
        return Ok(Some(Account { user, password }));
    }
    let given = given("ETCD_USERNAME").zip(given("ETCD_PASSWORD"));
    Ok(given.map(|(user, password)| Account { user, password: Secret::new(password) }))
}

fn config(text: String) -> Error {
    Error::new(Kind::Config, text)
}

/// Returns an error with all its causes, as one text.
pub(crate) fn text_of(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |cause| cause.source()).take(8) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(address: &str) -> Result<Config> {
        Config::read(&Address::parse(address).unwrap(), |_| None)
    }

    #[test]
    fn an_address_may_be_left_out_or_name_several_servers() {
        assert_eq!(read("").unwrap().servers, ["127.0.0.1:2379"]);
        let config = read("etcd://a,b:1,[::1],[::1]:2").unwrap();
        assert_eq!(config.servers, ["a:2379", "b:1", "[::1]:2379", "[::1]:2"]);
        assert_eq!((config.prefix.as_str(), config.timeout), ("/micro/registry/", Duration::from_secs(5)));
    }

    #[test]
    fn the_account_of_the_address_goes_before_that_of_the_environment() {
        let variable = |name: &str| Some(if name == "ETCD_USERNAME" { "env" } else { "secret" }.to_owned());
        for (address, user) in [("etcd://", "env"), ("etcd://root:pw@h", "root")] {
            let config = Config::read(&Address::parse(address).unwrap(), variable).unwrap();
            assert_eq!(config.account.as_ref().unwrap().user, user);
            assert!(!format!("{config:?}").contains("secret") && !format!("{config:?}").contains("pw"), "{config:?}");
        }
        let half = |name: &str| (name == "ETCD_USERNAME").then(|| "env".to_owned());
        assert_eq!(Config::read(&Address::default(), half).unwrap().account, None);
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for (address, word) in [
            ("kafka://h", "etcd://host:2379"),
            ("etcd://h/path", "domain="),
            ("etcd://h?domian=x", "domian"),
            ("etcd://h?domain=a/b", "slash"),
            ("etcd://h?timeout_ms=0", "timeout_ms"),
            ("etcd://h:x", "no port"),
            ("etcd://user@h", "password"),
            ("etcd://h?ca=/x", "tls=true"),
            ("etcds://h?cert=/x", "needs its key"),
        ] {
            let error = read(address).unwrap_err();
            assert!(error.kind() == Kind::Config && error.to_string().contains(word), "{address}: {error}");
        }
    }
}
