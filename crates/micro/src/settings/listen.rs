//! Addresses to listen on.

use std::fmt;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};

use micro_core::{Error, Kind, Result};

/// A host and one port or a range of them, tried in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Listen {
    host: String,
    first: u16,
    last: u16,
}

impl Listen {
    /// Reads `host:port`, `:port`, `[::1]:port` or `host:min-max`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (host, ports) = text.trim().rsplit_once(':')?;
        let (first, last) = match ports.split_once('-') {
            Some((first, last)) => (first.parse().ok()?, last.parse().ok()?),
            None => (ports.parse().ok()?, ports.parse().ok()?),
        };
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let sound = first <= last && (bracketed || !host.contains(':')) && (first > 0 || last == 0);
        sound.then(|| Self { host: host.to_owned(), first, last })
    }

    /// Returns the address to listen on, `host:port`: of a range, that of the first free port.
    pub(crate) fn address(&self) -> Result<String> {
        let host = if self.host.is_empty() { "[::]" } else { &self.host };
        let free = |port: &u16| match TcpListener::bind(format!("{host}:{port}")) {
            Ok(_) => true,
            // Whatever else is wrong, listening will say it better.
            Err(error) => error.kind() != ErrorKind::AddrInUse,
        };
        let port = if self.first == self.last { Some(self.first) } else { (self.first..=self.last).find(free) };
        port.map(|port| format!("{}:{port}", self.host)).ok_or_else(|| {
            let text =
                format!("every port of {self} is in use already; stop who has one, or give another --server_address");
            Error::new(Kind::Unavailable, text).operation("service.start")
        })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.first)?;
        if self.last > self.first { write!(f, "-{}", self.last) } else { Ok(()) }
    }
}

/// Reads an address for the probes; without a host it is the loopback one, because metrics are nobody else's business.
pub(crate) fn loopback_unless_said(text: &str) -> Option<String> {
    let (host, port) = text.trim().rsplit_once(':')?;
    let port: u16 = port.parse().ok()?;
    let plain = host.trim_start_matches('[').trim_end_matches(']');
    match host {
        "" | "localhost" => Some(format!("{}:{port}", Ipv4Addr::LOCALHOST)),
        _ => plain.parse::<IpAddr>().ok().map(|ip| std::net::SocketAddr::new(ip, port).to_string()),
    }
}

/// Returns the address that others reach this node by: what the user said, else the one listened on, where an unspecified
/// host becomes this machine's own address.
pub(crate) fn advertised(said: Option<&str>, bound: std::net::SocketAddr) -> String {
    let join = |host: &str, port: u16| match host.contains(':') && !host.starts_with('[') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    };
    if let Some(said) = said {
        return match said.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?))) {
            Some(("", port)) => join(&own_address().to_string(), port),
            Some((host, port)) if !host.contains(':') || host.starts_with('[') => {
                join(host, if port == 0 { bound.port() } else { port })
            }
            _ => join(said, bound.port()),
        };
    }
    let host = if bound.ip().is_unspecified() { own_address() } else { bound.ip() };
    join(&host.to_string(), bound.port())
}

/// Finds the address of this machine that a private network would see, else that of its way out, else loopback.
fn own_address() -> IpAddr {
    const PRIVATE: [IpAddr; 4] = [
        IpAddr::V4(Ipv4Addr::new(10, 255, 255, 254)),
        IpAddr::V4(Ipv4Addr::new(172, 31, 255, 254)),
        IpAddr::V4(Ipv4Addr::new(192, 168, 255, 254)),
        IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1)),
    ];
    let found: Vec<_> = PRIVATE.into_iter().filter_map(address_towards).collect();
    let private = found.iter().find(|ip| is_private(**ip));
    *private.or(found.first()).unwrap_or(&IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// Asks the routing table; a UDP socket that connects sends nothing.
fn address_towards(there: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = if there.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = std::net::UdpSocket::bind((any, 0)).ok()?;
    socket.connect((there, 9)).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified() && !ip.is_loopback()).then_some(ip)
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || (ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64),
        IpAddr::V6(ip) => ip.octets()[0] == 0xfd,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_leave_the_host_out_or_name_a_range_of_ports() {
        let shown = |text| Listen::parse(text).map(|listen| listen.to_string());
        for text in [":0", "[::1]:80", "h:8000-8002"] {
            assert_eq!(shown(text).as_deref(), Some(text));
        }
        for text in ["8088", "h:", "h:2-1", "::1:80", "h:70000", "h:0-5"] {
            assert_eq!(shown(text), None, "{text}");
        }
    }

    #[test]
    fn the_probes_are_loopback_unless_an_address_is_said() {
        assert_eq!(loopback_unless_said(":9090").unwrap(), "127.0.0.1:9090");
        assert_eq!(loopback_unless_said("0.0.0.0:9090").unwrap(), "0.0.0.0:9090");
        assert_eq!(loopback_unless_said("[::1]:1").unwrap(), "[::1]:1");
        assert_eq!(loopback_unless_said("9090"), None);
    }

    #[test]
    fn what_is_registered_can_be_reached() {
        let bound = "[::]:4100".parse().unwrap();
        assert_eq!(advertised(None, "127.0.0.1:4100".parse().unwrap()), "127.0.0.1:4100");
        assert_eq!(advertised(Some("shop.example"), bound), "shop.example:4100");
        assert_eq!(advertised(Some("shop.example:80"), bound), "shop.example:80");
        assert_eq!(advertised(Some("10.0.0.7:0"), bound), "10.0.0.7:4100");
        assert_eq!(advertised(Some("fd00::7"), bound), "[fd00::7]:4100");
        let own: std::net::SocketAddr = advertised(None, bound).parse().unwrap();
        assert!(!own.ip().is_unspecified() && own.port() == 4100);
    }
}
