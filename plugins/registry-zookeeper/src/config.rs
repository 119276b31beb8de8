use std::time::Duration;

use micro_core::address::{Address, Secret};
use micro_core::{Error, Kind, Result};

use crate::keys;

const DEFAULT_PORT: u16 = 2181;
const PARAMETERS: &[&str] = &["domain", "timeout_ms", "acl"];

/// What an address asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    /// `host:port` of each.
    pub(crate) servers: Vec<String>,
    pub(crate) account: Option<Account>,
    /// The path that everything lies below.
    pub(crate) root: String,
    /// Of a call as a whole.
    pub(crate) timeout: Duration,
    /// What is made is for our account alone.
    pub(crate) private: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Account {
    pub(crate) user: String,
    pub(crate) password: Secret,
}

impl Config {
    /// Reads an address; no I/O is done.
    pub(crate) fn read(address: &Address) -> Result<Self> {
        address.check_plugin(
            &["zookeeper", "zk"],
            "zookeeper://host:2181,host:2181",
            "write ?domain=name to keep records apart from others",
        )?;
        address.check_params(PARAMETERS)?;
        let domain = address.param("domain").unwrap_or(keys::DOMAIN);
        if domain.is_empty() || domain.contains('/') || domain.contains(char::is_control) {
            return Err(config(format!("domain={domain:?} of the address must be a name without a slash")));
        }
        let account = address.account("zookeeper://user:password@host")?;
        let account = account.map(|(user, password)| Account { user, password });
        let private = match address.param("acl").unwrap_or("open") {
            "open" => false,
            "creator" if account.is_some() => true,
            "creator" => {
                return Err(config(
                    "acl=creator of the address needs an account: zookeeper://user:password@h".to_owned(),
                ));
            }
            other => return Err(config(format!("acl={other} of the address must be open or creator"))),
        };
        Ok(Self {
            servers: address.servers(DEFAULT_PORT)?,
            account,
            root: keys::root(domain),
            timeout: Duration::from_millis(address.positive("timeout_ms", 5_000)?),
            private,
        })
    }

    /// Returns the servers as one text, without secrets.
    pub(crate) fn address(&self) -> String {
        self.servers.join(",")
    }
}

fn config(text: String) -> Error {
    Error::new(Kind::Config, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(address: &str) -> Result<Config> {
        Config::read(&Address::parse(address).unwrap())
    }

    #[test]
    fn an_address_may_be_left_out_or_name_several_servers() {
        let config = read("").unwrap();
        assert_eq!((config.address().as_str(), config.root.as_str()), ("127.0.0.1:2181", "/micro-registry"));
        let config = read("zookeeper://a,b:1,[::1],[::1]:2?domain=blue&timeout_ms=7").unwrap();
        assert_eq!(config.servers, ["a:2181", "b:1", "[::1]:2181", "[::1]:2"]);
        assert_eq!((config.root.as_str(), config.timeout), ("/micro-registry-blue", Duration::from_millis(7)));
    }

    #[test]
    fn the_password_is_not_shown() {
        let config = read("zookeeper://app:hush@h?acl=creator").unwrap();
        assert!(config.private && config.account.is_some() && !format!("{config:?}").contains("hush"));
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for (address, word) in [
            ("kafka://h", "zookeeper://host:2181"),
            ("zookeeper://h/path", "domain="),
            ("zookeeper://h?domian=x", "domian"),
            ("zookeeper://h?domain=a/b", "slash"),
            ("zookeeper://h?timeout_ms=0", "timeout_ms"),
            ("zookeeper://h:x", "no port"),
            ("zookeeper://user@h", "user:password"),
            ("zookeeper://h?acl=creator", "user:password"),
            ("zookeeper://h?acl=mine", "acl=mine"),
            ("zookeeper://h?tls=true", "tls"),
        ] {
            let error = read(address).unwrap_err();
            assert!(error.kind() == Kind::Config && error.to_string().contains(word), "{address}: {error}");
        }
    }
}
