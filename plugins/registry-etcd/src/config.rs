use std::path::{Path, PathBuf};
use std::time::Duration;

use micro_core::address::{Address, Secret};
use micro_core::{Error, Kind, Result};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use crate::keys;

const DEFAULT_SERVER: &str = "127.0.0.1:2379";
const DEFAULT_PORT: u16 = 2379;
const PARAMETERS: &[&str] = &["domain", "timeout_ms", "tls", "ca", "cert", "key"];

/// Where systems keep the authorities that they trust.
const SYSTEM: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

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
    tls: Option<Tls>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Account {
    pub(crate) user: String,
    pub(crate) password: Secret,
}

#[derive(Debug, Clone, PartialEq)]
struct Tls {
    ca: Option<PathBuf>,
    identity: Option<(PathBuf, PathBuf)>,
}

impl Config {
    /// Reads an address; no I/O is done. `variable` reads the environment.
    pub(crate) fn read(address: &Address, variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let scheme = address.scheme().unwrap_or("etcd");
        if !matches!(scheme, "etcd" | "etcds") {
            return Err(config(format!("the address {address} is not etcd's: etcd://host:2379,host:2379")));
        }
        if !address.path().trim_matches('/').is_empty() {
            return Err(config(format!(
                "the address {address} has a path; write ?domain=name to keep records apart from others"
            )));
        }
        address.check_params(PARAMETERS)?;
        let domain = address.param("domain").unwrap_or(keys::DOMAIN);
        if domain.is_empty() || domain.contains('/') {
            return Err(config(format!("domain={domain} of the address must be a name without a slash")));
        }
        let timeout = address.parsed::<u64>("timeout_ms")?.unwrap_or(5_000);
        if timeout == 0 {
            return Err(config("timeout_ms=0 of the address must be more than 0".to_owned()));
        }
        Ok(Self {
            servers: servers(address)?,
            account: account(address, variable)?,
            prefix: keys::prefix(domain),
            timeout: Duration::from_millis(timeout),
            tls: tls(address, address.parsed("tls")?.unwrap_or(scheme == "etcds"))?,
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

    /// Returns how a server is dialled. It reads the files of TLS, so that renewed ones are taken with the next connection.
    pub(crate) fn endpoint(&self, server: &str) -> Result<Endpoint> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let wrong = |error: tonic::transport::Error| {
            config(format!("etcd cannot be dialled at {server}; check the address")).source(text_of(&error))
        };
        let mut endpoint = Endpoint::from_shared(format!("{scheme}://{server}"))
            .map_err(wrong)?
            .connect_timeout(self.timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING)
            .keep_alive_timeout(PONG);
        if let Some(tls) = &self.tls {
            endpoint = endpoint.tls_config(tls.read()?).map_err(wrong)?;
        }
        Ok(endpoint)
    }
}

impl Tls {
    fn read(&self) -> Result<ClientTlsConfig> {
        let ca = match &self.ca {
            Some(path) => read(path, "ca")?,
            None => SYSTEM.iter().find_map(|path| std::fs::read(path).ok()).ok_or_else(|| {
                config("this system has no file of authorities that it trusts; name one by ca=/a/file.pem".to_owned())
            })?,
        };
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
        if let Some((cert, key)) = &self.identity {
            tls = tls.identity(Identity::from_pem(read(cert, "cert")?, read(key, "key")?));
        }
        Ok(tls)
    }
}

fn read(path: &Path, parameter: &str) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| {
        config(format!("the file {parameter}={} of the etcd address cannot be read", path.display())).source(error)
    })
}

fn tls(address: &Address, tls: bool) -> Result<Option<Tls>> {
    let path = |name| address.param(name).map(PathBuf::from);
    let (ca, cert, key) = (path("ca"), path("cert"), path("key"));
    if !tls {
        return match ca.or(cert).or(key) {
            None => Ok(None),
            Some(_) => Err(config("the address names certificates but asks for no TLS: add tls=true".to_owned())),
        };
    }
    match (cert, key) {
        (Some(cert), Some(key)) => Ok(Some(Tls { ca, identity: Some((cert, key)) })),
        (None, None) => Ok(Some(Tls { ca, identity: None })),
        _ => Err(config("a certificate of our own needs both cert= and key= in the address".to_owned())),
    }
}

fn servers(address: &Address) -> Result<Vec<String>> {
    if address.hosts().is_empty() {
        return Ok(vec![DEFAULT_SERVER.to_owned()]);
    }
    let server = |host: &String| {
        // An IPv6 address has its port behind the bracket.
        let tail = host.rsplit_once(']').map_or(host.as_str(), |(_, tail)| tail);
        match tail.rsplit_once(':') {
            None => Ok(format!("{host}:{DEFAULT_PORT}")),
            Some((_, port)) if port.parse::<u16>().is_ok_and(|port| port > 0) => Ok(host.clone()),
            Some((_, port)) => Err(config(format!("the server {host:?} of the address has no port but {port:?}"))),
        }
    };
    address.hosts().iter().map(server).collect()
}

/// The account of the address, else that of the environment, as go-micro reads it.
fn account(address: &Address, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Account>> {
    let given = |name| variable(name).filter(|value| !value.is_empty());
    match (address.user().filter(|user| !user.is_empty()), address.password()) {
        (Some(user), Some(password)) => Ok(Some(Account { user: user.to_owned(), password: password.clone() })),
        (Some(user), None) => {
            Err(config(format!("the user {user} of the address needs a password: etcd://user:password@host")))
        }
        (None, Some(_)) => {
            Err(config("the password of the address needs a user: etcd://user:password@host".to_owned()))
        }
        (None, None) => Ok(given("ETCD_USERNAME")
            .zip(given("ETCD_PASSWORD"))
            .map(|(user, password)| Account { user, password: Secret::new(password) })),
    }
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
            ("kafka://h", "not etcd's"),
            ("etcd://h/path", "domain="),
            ("etcd://h?domian=x", "domian"),
            ("etcd://h?domain=a/b", "slash"),
            ("etcd://h?timeout_ms=0", "timeout_ms"),
            ("etcd://h:x", "no port"),
            ("etcd://user@h", "password"),
            ("etcd://h?ca=/x", "tls=true"),
            ("etcds://h?cert=/x", "key="),
        ] {
            let error = read(address).unwrap_err();
            assert!(error.kind() == Kind::Config && error.to_string().contains(word), "{address}: {error}");
        }
    }
}
