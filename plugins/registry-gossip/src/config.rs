use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use micro_core::address::Address;
use micro_core::{Error, Kind, Result};

const PORT: u16 = 7946;
const PARAMETERS: &[&str] = &["listen", "advertise", "domain", "interval_ms", "silence_ms"];

/// So many rounds may be lost before a member counts as gone.
const ROUNDS: u32 = 5;

/// What an address asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    /// `host:port` of those that are asked first; none for the first process.
    pub(crate) seeds: Vec<String>,
    pub(crate) listen: SocketAddr,
    /// Where others reach us; where we listen, unless said.
    pub(crate) advertise: Option<SocketAddr>,
    pub(crate) domain: String,
    pub(crate) interval: Duration,
    /// How long nothing is heard of a member before it counts as gone.
    pub(crate) silence: Duration,
}

impl Config {
    /// Reads an address; no I/O is done.
    pub(crate) fn read(address: &Address) -> Result<Self> {
        address.check_plugin(
            &["gossip"],
            "gossip://host:7946?listen=0.0.0.0:7946",
            "write ?domain=name to keep records apart from others",
        )?;
        if address.user().is_some() || address.password().is_some() {
            return Err(config("gossip knows no accounts; leave user and password out of the address".to_owned()));
        }
        address.check_params(PARAMETERS)?;
        let domain = address.param("domain").unwrap_or("micro").to_owned();
        if domain.is_empty() || domain.len() > 255 {
            return Err(config("domain= of the address must be a name of 1 to 255 bytes".to_owned()));
        }
        let seeds = address.hosts().iter().map(|host| seed(host)).collect::<Result<Vec<_>>>()?;
        let interval = Duration::from_millis(address.parsed("interval_ms")?.unwrap_or(250));
        let silence = Duration::from_millis(address.parsed("silence_ms")?.unwrap_or(3_000));
        if interval < Duration::from_millis(10) {
            return Err(config("interval_ms of the address must be 10 or more".to_owned()));
        }
        if silence < interval * ROUNDS {
            return Err(config(format!(
                "silence_ms={} of the address is less than {ROUNDS} times interval_ms={}: members that live would come and go",
                silence.as_millis(),
                interval.as_millis()
            )));
        }
        let listen = match address.param("listen") {
            Some(text) => socket("listen", text)?,
            // The first process has the port that others know, those that join take any.
            None => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), if seeds.is_empty() { PORT } else { 0 }),
        };
        let advertise = address.param("advertise").map(|text| socket("advertise", text)).transpose()?;
        if advertise.is_some_and(|address| address.ip().is_unspecified()) {
            return Err(config(
                "advertise= of the address must say the IP at which others reach this process".to_owned(),
            ));
        }
        let away = seeds.iter().find(|seed| !is_loopback(seed));
        if let Some(seed) = away.filter(|_| listen.ip().is_loopback()) {
            return Err(config(format!(
                "the seed {seed} is on another machine, and this process listens at {listen} only; \
                 add listen=0.0.0.0:{PORT}, in a network where everybody is trusted"
            )));
        }
        if listen.ip().is_unspecified() && advertise.is_none() && seeds.is_empty() {
            return Err(config(format!(
                "listen={listen} does not say where others reach this process; add advertise=IP:{PORT}"
            )));
        }
        Ok(Self { seeds, listen, advertise, domain, interval, silence })
    }

    /// Returns seeds and own address as one text.
    pub(crate) fn address(&self) -> String {
        match self.seeds.is_empty() {
            true => format!("{} without seeds", self.listen),
            false => self.seeds.join(","),
        }
    }

    /// Tells whether one of the seeds is this process itself, at this address.
    pub(crate) fn is_seed(&self, own: SocketAddr) -> bool {
        self.seeds.is_empty() || self.seeds.iter().any(|seed| seed.parse() == Ok(own))
    }
}

fn seed(host: &str) -> Result<String> {
    let (name, port) = match host.rsplit_once(']') {
        Some((name, tail)) => (format!("{name}]"), tail.strip_prefix(':')),
        None => match host.rsplit_once(':') {
            Some((name, port)) => (name.to_owned(), Some(port)),
            None => (host.to_owned(), None),
        },
    };
    match port {
        None => Ok(format!("{name}:{PORT}")),
        Some(port) if port.parse::<u16>().is_ok_and(|port| port > 0) => Ok(format!("{name}:{port}")),
        Some(port) => Err(config(format!("the seed {host:?} of the address has no port but {port:?}"))),
    }
}

fn socket(parameter: &str, text: &str) -> Result<SocketAddr> {
    let wrong =
        || config(format!("{parameter}={text} of the address must be IP:PORT, as 127.0.0.1:{PORT} or [::1]:{PORT}"));
    text.parse().or_else(|_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, PORT))).map_err(|_| wrong())
}

fn is_loopback(seed: &str) -> bool {
    seed.parse::<SocketAddr>().map_or_else(|_| seed.starts_with("localhost:"), |seed| seed.ip().is_loopback())
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
    fn the_first_has_the_known_port_and_those_that_join_any_all_on_the_loopback() {
        let first = read("gossip://").unwrap();
        assert_eq!((first.listen, first.seeds.len()), ("127.0.0.1:7946".parse().unwrap(), 0));
        let joins = read("gossip://127.0.0.1,[::1]:1,localhost").unwrap();
        assert_eq!(joins.seeds, ["127.0.0.1:7946", "[::1]:1", "localhost:7946"]);
        assert_eq!(joins.listen, "127.0.0.1:0".parse().unwrap());
        assert!(joins.is_seed("[::1]:1".parse().unwrap()) && !joins.is_seed("127.0.0.1:1".parse().unwrap()));
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for (address, word) in [
            ("etcd://h", "gossip://host:7946"),
            ("gossip://127.0.0.1/path", "domain="),
            ("gossip://?domian=x", "domian"),
            ("gossip://?domain=", "domain"),
            ("gossip://127.0.0.1:x", "no port"),
            ("gossip://u:secret@127.0.0.1", "accounts"),
            ("gossip://?listen=somewhere", "listen=somewhere"),
            ("gossip://?advertise=0.0.0.0:1", "advertise="),
            ("gossip://?listen=0.0.0.0:7946", "advertise="),
            ("gossip://10.0.0.1", "listen=0.0.0.0"),
            ("gossip://?interval_ms=1", "interval_ms"),
            ("gossip://?interval_ms=1000&silence_ms=2000", "silence_ms"),
        ] {
            let error = read(address).unwrap_err();
            assert!(error.kind() == Kind::Config && error.to_string().contains(word), "{address}: {error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
