use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use micro_core::registry::RegistryOptions;
use micro_core::{Error, Kind, Result};

/// go-micro's group and port: those of mDNS.
const GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 251), 5353);

const PARAMETERS: &[&str] = &["domain", "interface", "ttl", "timeout", "interval"];

/// The settings of the plugin.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) group: SocketAddrV4,
    /// The last label of every name, without dots.
    pub(crate) domain: String,
    /// The name or the IPv4 address of the one interface to use.
    pub(crate) interface: Option<String>,
    /// The time to live in our records.
    pub(crate) ttl: Duration,
    /// How long an answer is waited for.
    pub(crate) timeout: Duration,
    /// The time between two questions for what is watched.
    pub(crate) interval: Duration,
}

impl Config {
    pub(crate) fn new(options: &RegistryOptions) -> Result<Self> {
        let address = &options.address;
        address.check_params(PARAMETERS)?;
        let group = match address.hosts() {
            [] => GROUP,
            [host] => parse_group(host)?,
            _ => {
                return Err(Error::new(
                    Kind::Config,
                    "mDNS has one group; give one address, as mdns://224.0.0.251:5353",
                ));
            }
        };
        let domain = address.param("domain").unwrap_or("micro").trim_matches('.').to_owned();
        if domain.is_empty() || domain.len() > 63 {
            return Err(Error::new(Kind::Config, "the parameter domain must have 1 to 63 letters"));
        }
        let seconds = |name: &str, default: u64| -> Result<Duration> {
            let value = address.parsed::<f64>(name)?.unwrap_or(default as f64);
            Duration::try_from_secs_f64(value).ok().filter(|time| !time.is_zero()).ok_or_else(|| {
                Error::new(Kind::Config, format!("the parameter {name}={value} must be a positive number of seconds"))
            })
        };
        let timeout = Duration::from_millis(address.parsed::<u64>("timeout")?.unwrap_or(100).max(1));
        let (ttl, interval) = (seconds("ttl", 120)?, seconds("interval", 10)?);
        Ok(Self { group, domain, interface: address.param("interface").map(str::to_owned), ttl, timeout, interval })
    }

    /// Returns the time to live as the wire has it: whole seconds, at least one.
    pub(crate) fn ttl_seconds(&self) -> u32 {
        u32::try_from(self.ttl.as_secs().max(1)).unwrap_or(u32::MAX)
    }
}

fn parse_group(host: &str) -> Result<SocketAddrV4> {
    let parsed = host.parse().or_else(|_| host.parse().map(|ip| SocketAddrV4::new(ip, GROUP.port())));
    match parsed {
        Ok(group) if group.ip().is_multicast() => Ok(group),
        _ => Err(Error::new(
            Kind::Config,
            format!(
                "{host:?} is no multicast group of IPv4; leave the address out for {GROUP}, or give one as 239.1.2.3:5353"
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use micro_core::address::Address;

    use super::*;

    fn config(address: &str) -> Result<Config> {
        Config::new(&RegistryOptions::new().address(Address::parse(address)?))
    }

    #[test]
    fn without_an_address_it_is_go_micros_group() {
        let config = config("").unwrap();
        assert_eq!((config.group, config.domain.as_str(), config.ttl_seconds()), (GROUP, "micro", 120));
        assert_eq!(config.timeout, Duration::from_millis(100));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (address, word) in [
            ("mdns://10.0.0.1:5353", "10.0.0.1:5353"),
            ("mdns://a,b", "one group"),
            ("mdns://?ttl=-1", "ttl=-1"),
            ("mdns://?time=3", "time"),
            ("mdns://?domain=", "domain"),
        ] {
            let error = config(address).unwrap_err();
            assert!(error.kind() == Kind::Config && error.to_string().contains(word), "{error}");
        }
    }
}
