use std::path::PathBuf;
use std::time::Duration;

use micro_core::address::{Address, Secret};
use micro_core::tls::{ClientTls, TLS_PARAMS};
use micro_core::{Error, Kind, Result};

const DEFAULT_PORT: u16 = 4222;
const PARAMETERS: &[&str] = &["domain", "subject", "timeout_ms", "wait_ms", "token", "creds"];

/// What go-micro v2 and v3 put before `.query` and `.watch`.
const SUBJECT: &str = "micro.registry.nats";
const DOMAIN: &str = "micro";

/// What an address asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    /// `host:port` of each.
    pub(crate) servers: Vec<String>,
    pub(crate) account: Option<Account>,
    /// Where processes are asked for their nodes.
    pub(crate) query: String,
    /// Where they tell what changed.
    pub(crate) watch: String,
    /// Of a call as a whole.
    pub(crate) timeout: Duration,
    /// For how long answers are gathered.
    pub(crate) wait: Duration,
    pub(crate) tls: Option<ClientTls>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Account {
    User {
        user: String,
        password: Secret,
    },
    Token(Secret),
    /// A file of a JWT and its seed.
    Credentials(PathBuf),
}

impl Config {
    /// Reads an address; no I/O is done.
    pub(crate) fn read(address: &Address) -> Result<Self> {
        address.check_plugin(
            &["nats", "natss"],
            "nats://host:4222,host:4222",
            "write ?domain=name to keep records apart from others",
        )?;
        address.check_params(&[PARAMETERS, &TLS_PARAMS[..]].concat())?;
        let subject = subject(address, "subject", SUBJECT)?;
        let subject = match subject_token(address)? {
            DOMAIN => subject.to_owned(),
            domain => format!("{subject}.{domain}"),
        };
        Ok(Self {
            servers: address.servers(DEFAULT_PORT)?,
            account: account(address)?,
            query: format!("{subject}.query"),
            watch: format!("{subject}.watch"),
            timeout: Duration::from_millis(address.positive("timeout_ms", 5_000)?),
            wait: Duration::from_millis(address.positive("wait_ms", 100)?),
            tls: ClientTls::from_address_of(address, "natss")?,
        })
    }

    /// Returns the servers as one text, without secrets.
    pub(crate) fn address(&self) -> String {
        self.servers.join(",")
    }
}

fn subject<'a>(address: &'a Address, parameter: &str, default: &'a str) -> Result<&'a str> {
    let subject = address.param(parameter).unwrap_or(default);
    let is_bad = |token: &str| token.is_empty() || token.contains(['*', '>']) || token.contains(char::is_whitespace);
    if subject.split('.').any(is_bad) {
        return Err(config(format!("{parameter}={subject:?} of the address is no subject of NATS, like {default}")));
    }
    Ok(subject)
}

fn subject_token(address: &Address) -> Result<&str> {
    match subject(address, "domain", DOMAIN)? {
        domain if domain.contains('.') => {
            Err(config(format!("domain={domain:?} of the address must be a name without a dot")))
        }
        domain => Ok(domain),
    }
}

fn account(address: &Address) -> Result<Option<Account>> {
    let pair = address.account("nats://user:password@host; a token is given by token=")?;
    let pair = pair.map(|(user, password)| Account::User { user, password });
    let token = address.param("token").map(|token| Account::Token(Secret::new(token)));
    let file = address.param("creds").map(|file| Account::Credentials(file.into()));
    let mut given = [pair, token, file].into_iter().flatten();
    match (given.next(), given.next()) {
        (account, None) => Ok(account),
        _ => Err(config(
            "the address says more than once who asks; give one of nats://user:password@host, token= and creds="
                .to_owned(),
        )),
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
        assert_eq!((config.address().as_str(), config.timeout), ("127.0.0.1:4222", Duration::from_secs(5)));
        assert_eq!(
            (config.query.as_str(), config.watch.as_str()),
            ("micro.registry.nats.query", "micro.registry.nats.watch")
        );
        assert_eq!(read("nats://a,b:1,[::1],[::1]:2").unwrap().servers, ["a:4222", "b:1", "[::1]:4222", "[::1]:2"]);
        assert!(read("natss://h").unwrap().tls.is_some());
    }

    #[test]
    fn a_domain_and_newer_go_micros_have_subjects_of_their_own() {
        assert_eq!(read("nats://h?domain=blue").unwrap().query, "micro.registry.nats.blue.query");
        assert_eq!(read("nats://h?subject=micro.nats").unwrap().watch, "micro.nats.watch");
    }

    #[test]
    fn an_account_is_a_user_a_token_or_a_file_and_is_not_shown() {
        for (address, secret) in [("nats://app:hush@h", "hush"), ("nats://h?token=t0ken", "t0ken")] {
            let config = read(address).unwrap();
            assert!(config.account.is_some() && !format!("{config:?}").contains(secret), "{config:?}");
        }
        assert_eq!(read("nats://h?creds=/c").unwrap().account, Some(Account::Credentials("/c".into())));
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for (address, word) in [
            ("kafka://h", "nats://host:4222"),
            ("nats://h/path", "domain="),
            ("nats://h?domian=x", "domian"),
            ("nats://h?domain=a.b", "dot"),
            ("nats://h?domain=a*", "domain="),
            ("nats://h?subject=a..b", "subject="),
            ("nats://h?timeout_ms=0", "timeout_ms"),
            ("nats://h?wait_ms=0", "wait_ms"),
            ("nats://h:x", "no port"),
            ("nats://:pw@h", "user:password"),
            ("nats://t0ken@h", "token="),
            ("nats://u:p@h?creds=/c", "more than once"),
            ("nats://h?ca=/x", "tls=true"),
            ("natss://h?cert=/x", "needs its key"),
        ] {
            let error = read(address).unwrap_err();
            assert!(error.kind() == Kind::Config && error.to_string().contains(word), "{address}: {error}");
        }
    }
}
