use std::path::PathBuf;
use std::time::Duration;

use micro_core::address::Address;
use micro_core::registry::{Node, Service};
use micro_core::{Error, Kind, Result};

const PARAMETERS: [&str; 3] = ["file", "version", "interval_ms"];
const LATEST: &str = "latest";
const EXAMPLE: &str = "static://greeter=127.0.0.1:9001,127.0.0.1:9002;users=127.0.0.1:9003";

/// Where the list is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Address(Vec<Service>),
    File { path: PathBuf, format: Format },
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Toml,
}

/// What an address asks for; the table is in the documentation of [`Static`](crate::Static).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) source: Source,
    /// How often a watch looks at the file.
    pub(crate) interval: Duration,
    shown: String,
}

impl Config {
    pub(crate) fn read(address: &Address) -> Result<Self> {
        if address.scheme().is_some_and(|scheme| scheme != "static") {
            return Err(config(format!("the address {address} is not a static list's: {EXAMPLE}")));
        }
        address.check_params(&PARAMETERS)?;
        let interval = Duration::from_millis(address.positive("interval_ms", 1_000)?);
        let list = address.hosts().join(",") + address.path();
        let source = match (address.param("file"), list.as_str()) {
            (Some(path), "") if address.param("version").is_some() => {
                return Err(config(format!("{address} has a version; the records of {path} have their own")));
            }
            (Some(path), "") => Source::File { path: PathBuf::from(path), format: format(path)? },
            (Some(_), _) => return Err(config(format!("{address} has a list and a file; give one of them"))),
            (None, "") => {
                return Err(config(format!("a static registry needs its list: {EXAMPLE}, or ?file=nodes.json")));
            }
            (None, list) => Source::Address(listed(list, address.param("version").unwrap_or(LATEST))?),
        };
        Ok(Self { source, interval, shown: address.to_string() })
    }

    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }
}

/// `greeter=h1:9001,h2:9001;users=h3:9003`
fn listed(list: &str, version: &str) -> Result<Vec<Service>> {
    let mut services: Vec<Service> = Vec::new();
    for part in list.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        let (name, nodes) = part.split_once('=').unwrap_or_default();
        let name = name.trim();
        if name.is_empty() {
            return Err(config(format!("{part:?} of the static list names no service; write it as {EXAMPLE}")));
        }
        if services.iter().any(|service| service.name == name) {
            return Err(config(format!("the static list names {name} twice; give its nodes once, with commas")));
        }
        let mut service = Service::new(name, version);
        for address in nodes.split(',').map(str::trim).filter(|address| !address.is_empty()) {
            let node = Node::new(format!("{name}-{address}"), address);
            if node.host_port().is_none_or(|(host, port)| host.is_empty() || port == 0) {
                return Err(config(format!("{address:?} of {name} in the static list is no host:port")));
            }
            if !service.nodes.contains(&node) {
                service.nodes.push(node);
            }
        }
        if service.nodes.is_empty() {
            return Err(config(format!("{name} has no node in the static list; write it as {EXAMPLE}")));
        }
        services.push(service);
    }
    Ok(services)
}

fn format(path: &str) -> Result<Format> {
    match path.rsplit('.').next() {
        Some("json") => Ok(Format::Json),
        Some("toml") => Ok(Format::Toml),
        _ => Err(config(format!("a static list is a file called .json or .toml, and not {path}"))),
    }
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
    fn the_list_in_an_address_is_read_with_and_without_its_scheme() {
        for address in
            ["static://greeter=h1:1,[::1]:2; users=h3:3?version=7", "greeter=h1:1,[::1]:2;users=h3:3?version=7"]
        {
            let Source::Address(services) = read(address).unwrap().source else { panic!("{address} is a list") };
            let greeter = Service::new("greeter", "7").node(Node::new("greeter-h1:1", "h1:1"));
            let users = Service::new("users", "7").node(Node::new("users-h3:3", "h3:3"));
            assert_eq!(services, [greeter.node(Node::new("greeter-[::1]:2", "[::1]:2")), users]);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (address, word) in [
            ("static://", "needs its list"),
            ("consul://a=h:1", "not a static list's"),
            ("static://h:1", "names no service"),
            ("static://=h:1", "names no service"),
            ("static://a=", "no node"),
            ("static://a=h", "no host:port"),
            ("static://a=h:1;a=h:2", "twice"),
            ("static://a=h:1?file=x.json", "give one"),
            ("static://?file=x.yaml", "x.yaml"),
            ("static://?file=x.json&version=1", "version"),
            ("static://?file=x.json&interval_ms=0", "interval_ms=0"),
            ("static://a=h:1?ttl=1", "ttl"),
        ] {
            let error = read(address).unwrap_err();
            assert!(error.kind() == Kind::Config && error.to_string().contains(word), "{address}: {error}");
        }
    }
}
