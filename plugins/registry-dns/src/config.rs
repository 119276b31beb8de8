use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use micro_core::address::Address;
use micro_core::{Error, Kind, Result};

const PARAMETERS: [&str; 8] =
    ["domain", "record", "port", "prefix", "version", "timeout_ms", "min_ttl_ms", "max_ttl_ms"];
const DNS_PORT: u16 = 53;

/// Which records say where nodes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Records {
    /// SRV, with ports.
    Srv,
    /// A and AAAA; all nodes have this port.
    Addresses(u16),
}

/// What an address asks for; the table is in the documentation of [`Dns`](crate::Dns).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// Empty: those of the system.
    pub(crate) servers: Vec<SocketAddr>,
    pub(crate) records: Records,
    pub(crate) version: String,
    /// For one whole question, with those that follow from its answer.
    pub(crate) timeout: Duration,
    /// No answer is believed for a shorter or a longer time.
    pub(crate) ttl: (Duration, Duration),
    prefix: String,
    domain: String,
    shown: String,
}

impl Config {
    pub(crate) fn read(address: &Address) -> Result<Self> {
        if address.scheme().is_some_and(|scheme| scheme != "dns") || !address.path().trim_matches('/').is_empty() {
            let text = format!("the address {address} is not DNS's: dns://10.0.0.10:53/?domain=svc.cluster.local");
            return Err(Error::new(Kind::Config, text));
        }
        address.check_params(&PARAMETERS)?;
        let time = |name, default| Ok::<_, Error>(Duration::from_millis(address.positive(name, default)?));
        let port = address.parsed::<u16>("port")?.filter(|port| *port > 0);
        let records = match (address.param("record").unwrap_or("srv"), port) {
            ("srv", None) => Records::Srv,
            ("a", Some(port)) => Records::Addresses(port),
            ("srv", Some(_)) => {
                return Err(Error::new(Kind::Config, "SRV records have ports; leave port out, or ask for record=a"));
            }
            ("a", None) => return Err(Error::new(Kind::Config, "record=a needs the port of all nodes, as port=9090")),
            (other, _) => {
                return Err(Error::new(Kind::Config, format!("record={other} of the address must be srv or a")));
            }
        };
        let ttl = (time("min_ttl_ms", 1_000)?, time("max_ttl_ms", 60_000)?);
        if ttl.0 > ttl.1 {
            return Err(Error::new(Kind::Config, "min_ttl_ms of the address is more than its max_ttl_ms"));
        }
        let labels = |name| address.param(name).unwrap_or_default().trim_matches('.').to_owned();
        Ok(Self {
            servers: address.hosts().iter().map(|host| server(host)).collect::<Result<_>>()?,
            records,
            version: address.param("version").unwrap_or("latest").to_owned(),
            timeout: time("timeout_ms", 5_000)?,
            ttl,
            prefix: labels("prefix"),
            domain: labels("domain"),
            shown: if address.scheme().is_some() { address.to_string() } else { format!("dns://{address}") },
        })
    }

    /// The full name that is asked for a service: `prefix.service.domain.`
    pub(crate) fn name(&self, service: &str) -> String {
        let labels = [&self.prefix, service, &self.domain].into_iter().filter(|label| !label.is_empty());
        labels.map(|label| format!("{}.", label.trim_end_matches('.'))).collect()
    }

    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }
}

/// A name of a name server would need a name server.
fn server(host: &str) -> Result<SocketAddr> {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let read = host.parse().ok().or_else(|| Some(SocketAddr::new(address.parse::<IpAddr>().ok()?, DNS_PORT)));
    read.ok_or_else(|| {
        let text = format!("{host:?} is no IP address of a DNS server; write it as 10.0.0.10:53 or [fd00::10]:53");
        Error::new(Kind::Config, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(address: &str) -> Result<Config> {
        Config::read(&Address::parse(address)?)
    }

    #[test]
    fn a_service_has_a_full_name() {
        let config = read("dns://10.0.0.10/?domain=svc.cluster.local.&prefix=_grpc._tcp").unwrap();
        assert_eq!(config.name("greeter"), "_grpc._tcp.greeter.svc.cluster.local.");
        assert_eq!(config.servers, ["10.0.0.10:53".parse().unwrap()]);
        assert_eq!(read("").unwrap().name("greeter.example.org."), "greeter.example.org.");
        assert_eq!(read("dns://[::1]:8600").unwrap().servers, ["[::1]:8600".parse().unwrap()]);
        assert_eq!(read("dns://[::1]").unwrap().servers, ["[::1]:53".parse().unwrap()]);
        assert_eq!(read("dns://?record=a&port=9090").unwrap().records, Records::Addresses(9090));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (address, word) in [
            ("consul://h", "not DNS's"),
            ("dns://1.1.1.1/zone", "not DNS's"),
            ("dns://ns.example.org", "no IP address"),
            ("dns://?record=mx", "record=mx"),
            ("dns://?record=a", "port=9090"),
            ("dns://?port=1", "have ports"),
            ("dns://?min_ttl_ms=5&max_ttl_ms=4", "max_ttl_ms"),
            ("dns://?timeout_ms=0", "timeout_ms=0"),
            ("dns://?ttl=1", "ttl"),
        ] {
            let error = read(address).unwrap_err();
            assert!(error.kind() == Kind::Config && error.to_string().contains(word), "{address}: {error}");
        }
    }
}
