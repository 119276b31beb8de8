//! Addresses of servers as one text: `kafka://user:secret@h1:9092,h2:9092/path?acks=all`.

use std::fmt;

use crate::{Error, Kind, Result};

/// Text that is never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text, for the one place that sends it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A parsed server address: scheme, account, hosts, path, parameters.
///
/// `Display` and `Debug` hide the password and every parameter whose name says that it is one.
///
/// # Examples
///
/// ```
/// use micro_core::address::Address;
///
/// let address = Address::parse("kafka://anna:hush@h1:9092,h2:9092?partitions=16")?;
/// assert_eq!(address.scheme(), Some("kafka"));
/// assert_eq!(address.hosts(), ["h1:9092", "h2:9092"]);
/// assert_eq!(address.param("partitions"), Some("16"));
/// assert_eq!(address.to_string(), "kafka://anna:***@h1:9092,h2:9092?partitions=16");
/// # Ok::<(), micro_core::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Address {
    scheme: Option<String>,
    user: Option<String>,
    password: Option<Secret>,
    hosts: Vec<String>,
    path: String,
    params: Vec<(String, String)>,
}

impl Address {
    /// Reads an address. A bare `host:port` list without a scheme is one too.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`] if an escape (`%41`) is broken or the scheme is no word.
    pub fn parse(text: &str) -> Result<Self> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, text),
        };
        if scheme.is_some_and(|s| s.is_empty() || !s.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)))
        {
            return Err(Error::new(
                Kind::Config,
                "the part of an address before :// must be a plugin's name, as kafka://host:9092",
            ));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = match (scheme, rest.find('/')) {
            (None, Some(0)) => ("", rest),
            (_, Some(slash)) => rest.split_at(slash),
            (_, None) => (rest, ""),
        };
        let (account, hosts) = match authority.rsplit_once('@') {
            Some((account, hosts)) => (Some(account), hosts),
            None => (None, authority),
        };
        let (user, password) = match account.map(|account| account.split_once(':').unwrap_or((account, ""))) {
            Some((user, "")) => (Some(unescape(user)?), None),
            Some((user, password)) => (Some(unescape(user)?), Some(Secret(unescape(password)?))),
            None => (None, None),
        };
        let params = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, "true"));
                Ok((unescape(name)?, unescape(value)?))
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            scheme: scheme.map(str::to_owned),
            user,
            password,
            hosts: hosts.split(',').map(str::trim).filter(|host| !host.is_empty()).map(str::to_owned).collect(),
            path: path.to_owned(),
            params,
        })
    }

    /// Returns the plugin's name, where the address says it.
    #[must_use]
    pub fn scheme(&self) -> Option<&str> {
        self.scheme.as_deref()
    }

    /// Returns the account.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Returns the password.
    #[must_use]
    pub fn password(&self) -> Option<&Secret> {
        self.password.as_ref()
    }

    /// Returns the servers, `host:port` each as it was written.
    #[must_use]
    pub fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// Returns the servers with their ports: this one where none is written, and the machine itself where no server is.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`] naming a server whose port is none.
    ///
    /// # Examples
    ///
    /// ```
    /// use micro_core::address::Address;
    ///
    /// assert_eq!(Address::parse("etcd://h1,[::1]:7")?.servers(2379)?, ["h1:2379", "[::1]:7"]);
    /// assert_eq!(Address::default().servers(2379)?, ["127.0.0.1:2379"]);
    /// # Ok::<(), micro_core::Error>(())
    /// ```
    pub fn servers(&self, port: u16) -> Result<Vec<String>> {
        if self.hosts.is_empty() {
            return Ok(vec![format!("127.0.0.1:{port}")]);
        }
        let server = |host: &String| {
            // An IPv6 address has its port behind the bracket.
            let tail = host.rsplit_once(']').map_or(host.as_str(), |(_, tail)| tail);
            match tail.rsplit_once(':') {
                None => Ok(format!("{host}:{port}")),
                Some((_, given)) if given.parse::<u16>().is_ok_and(|given| given > 0) => Ok(host.clone()),
                Some((_, given)) => Err(Error::new(
                    Kind::Config,
                    format!("the server {host:?} of the address has no port but {given:?}"),
                )),
            }
        };
        self.hosts.iter().map(server).collect()
    }

    /// Returns the path, with its first slash; empty where there is none.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Sets the path, as it stands behind the hosts.
    #[must_use]
    pub fn with_path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Returns the first parameter of a name.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Returns the parameters in order.
    pub fn params(&self) -> impl Iterator<Item = (&str, &str)> {
        self.params.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// Sets a parameter, as if it had been written in the address.
    #[must_use]
    pub fn with_param(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let (name, value) = (name.into(), value.into());
        self.params.retain(|(n, _)| *n != name);
        self.params.push((name, value));
        self
    }

    /// Reads a parameter as a number, a boolean or anything else that parses.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`] naming the parameter and the value, if it does not parse.
    pub fn parsed<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>> {
        self.param(name)
            .map(|value| {
                value.parse().map_err(|_| {
                    let expected = std::any::type_name::<T>();
                    Error::new(Kind::Config, format!("the parameter {name}={value} of the address is no {expected}"))
                })
            })
            .transpose()
    }

    /// Reads a parameter as a number of 1 or more.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`] naming the parameter, if it is 0 or no number.
    pub fn positive(&self, name: &str, default: u64) -> Result<u64> {
        match self.parsed(name)? {
            Some(0) => Err(Error::new(Kind::Config, format!("{name}=0 of the address must be more than 0"))),
            given => Ok(given.unwrap_or(default)),
        }
    }

    /// Returns the account, a user with a password; `example` is shown where only one of them is given.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`] for one without the other.
    pub fn account(&self, example: &str) -> Result<Option<(String, Secret)>> {
        match (self.user().filter(|user| !user.is_empty()), &self.password) {
            (Some(user), Some(password)) => Ok(Some((user.to_owned(), password.clone()))),
            (None, None) => Ok(None),
            _ => Err(Error::new(
                Kind::Config,
                format!("an account in the address is both a user and a password: {example}"),
            )),
        }
    }

    /// Refuses an address that is another plugin's, having none of these schemes, and one with a path. The error shows the
    /// `example`, and what to write instead of a path.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`].
    ///
    /// # Examples
    ///
    /// ```
    /// use micro_core::address::Address;
    ///
    /// let check = |text| Address::parse(text)?.check_plugin(&["etcd", "etcds"], "etcd://host:2379", "write ?domain=name");
    /// assert!(check("etcds://h1,h2").is_ok() && check("h1").is_ok());
    /// assert!(check("kafka://h1").unwrap_err().to_string().contains("etcd://host:2379"));
    /// assert!(check("etcd://h1/path").unwrap_err().to_string().contains("?domain=name"));
    /// ```
    pub fn check_plugin(&self, schemes: &[&str], example: &str, no_path: &str) -> Result<()> {
        let refused = |text| Err(Error::new(Kind::Config, text));
        match self.scheme() {
            Some(scheme) if !schemes.contains(&scheme) => {
                refused(format!("the address {self} is of another plugin; here it is {example}"))
            }
            _ if !self.path.trim_matches('/').is_empty() => {
                refused(format!("the address {self} has a path; {no_path}"))
            }
            _ => Ok(()),
        }
    }

    /// Refuses parameters that the plugin does not know, so that a misspelt one is not ignored.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`] naming the first unknown one and listing the known.
    pub fn check_params(&self, known: &[&str]) -> Result<()> {
        match self.params.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some((name, _)) => Err(Error::new(
                Kind::Config,
                format!("the address has a parameter {name:?} that is not known here; known are: {}", known.join(", ")),
            )),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = &self.scheme {
            write!(f, "{scheme}://")?;
        }
        if let Some(user) = &self.user {
            write!(f, "{user}{}@", if self.password.is_some() { ":***" } else { "" })?;
        }
        f.write_str(&self.hosts.join(","))?;
        f.write_str(&self.path)?;
        for (i, (name, value)) in self.params.iter().enumerate() {
            let lower = name.to_ascii_lowercase();
            let secret = ["password", "secret", "token", "key"].iter().any(|word| lower.contains(word));
            write!(f, "{}{name}={}", if i == 0 { '?' } else { '&' }, if secret { "***" } else { value })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

fn unescape(text: &str) -> Result<String> {
    let broken = || Error::new(Kind::Config, "the address has a broken %-escape; write % itself as %25");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16)).ok_or_else(broken);
            bytes.push((digit()? * 16 + digit()?) as u8);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).map_err(|_| broken())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_however_they_are_printed() {
        let address = Address::parse("amqp://u:p%40ss@h:1/v?token=abc").unwrap();
        assert_eq!(address.password().unwrap().reveal(), "p@ss");
        for text in [format!("{address}"), format!("{address:?}"), format!("{:?}", address.password())] {
            assert!(!text.contains("ss@") && !text.contains("abc"), "{text}");
        }
    }

    #[test]
    fn a_bare_list_of_hosts_is_an_address() {
        let address = Address::parse("h1:1, h2:2").unwrap();
        assert_eq!((address.scheme(), address.hosts().len()), (None, 2));
    }

    #[test]
    fn an_unknown_parameter_is_named_with_the_known_ones() {
        let text = Address::parse("x://h?partitons=3").unwrap().check_params(&["partitions"]).unwrap_err().to_string();
        assert!(text.contains("partitons") && text.contains("known are: partitions"), "{text}");
    }
}
