use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use if_addrs::IfAddr;
use micro_core::{Error, Kind, Result};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::Instant;

use crate::config::Config;

/// How often it is looked whether an interface came or went.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// The two sockets: one on the group's port hears questions and announcements, one on a port of its own asks and gets
/// the answers.
#[derive(Debug)]
pub(crate) struct Sockets {
    pub(crate) group: UdpSocket,
    pub(crate) asking: UdpSocket,
    to: SocketAddrV4,
    interface: Option<String>,
    joined: BTreeSet<Ipv4Addr>,
    /// Address and mask of every interface.
    near: Vec<(Ipv4Addr, Ipv4Addr)>,
    looked: Instant,
}

impl Sockets {
    /// Joins the group on every interface, the loopback included. Must be called within a runtime.
    pub(crate) fn open(config: &Config) -> Result<Self> {
        let failed = |what: &str, error: io::Error| {
            Error::new(
                Kind::Unavailable,
                format!(
                    "cannot {what} for mDNS; go on without it, or name another registry with --registry (a container often \
                     has no multicast)"
                ),
            )
            .with("group", config.group)
            .source(error)
        };
        let group = bind(config.group.port(), true).map_err(|error| failed("bind the port", error))?;
        let asking = bind(0, false).map_err(|error| failed("bind a port", error))?;
        let (to, interface) = (config.group, config.interface.clone());
        let (joined, near) = (BTreeSet::new(), Vec::new());
        let mut sockets = Self { group, asking, to, interface, joined, near, looked: Instant::now() };
        sockets.join().map_err(|error| failed("join the multicast group on any interface", error))?;
        Ok(sockets)
    }

    /// Joins the group on the interfaces there are now, and forgets those that went.
    fn join(&mut self) -> io::Result<()> {
        self.looked = Instant::now();
        let mut failure = io::Error::new(io::ErrorKind::NotFound, "there is no such interface with an IPv4 address");
        let interfaces = if_addrs::get_if_addrs()?;
        let near = interfaces.iter().filter_map(|interface| match &interface.addr {
            IfAddr::V4(address) => Some((address.ip, address.netmask)),
            IfAddr::V6(_) => None,
        });
        self.near = near.collect();
        let addresses: BTreeSet<Ipv4Addr> = interfaces
            .into_iter()
            .filter_map(|interface| match interface.ip() {
                IpAddr::V4(ip) => Some((interface.name, ip)),
                IpAddr::V6(_) => None,
            })
            .filter(|(name, ip)| self.interface.as_ref().is_none_or(|only| only == name || *only == ip.to_string()))
            .map(|(_, ip)| ip)
            .collect();
        self.joined.retain(|ip| addresses.contains(ip));
        for ip in addresses {
            if self.joined.contains(&ip) {
                continue;
            }
            match self.group.join_multicast_v4(*self.to.ip(), ip) {
                Ok(()) => {}
                // Two addresses of one interface.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => {
                    failure = error;
                    continue;
                }
            }
            self.joined.insert(ip);
        }
        if self.joined.is_empty() { Err(failure) } else { Ok(()) }
    }

    /// Sends a question to the group; the answers come to the asking socket.
    pub(crate) async fn ask(&mut self, packet: &[u8]) -> Result<()> {
        self.look();
        self.send(&self.asking, packet).await
    }

    /// Sees which interfaces came and went, now and then.
    pub(crate) fn look(&mut self) {
        if self.looked.elapsed() > LOOK_AGAIN {
            // Without any interface the next sending says so.
            let _ = self.join();
        }
    }

    /// Tells whether an address is on a network of this machine. Nobody else is answered (RFC 6762 §11): a question with
    /// a forged sender would make this program send more to a stranger than it was sent.
    pub(crate) fn is_near(&self, from: SocketAddr) -> bool {
        let IpAddr::V4(from) = from.ip() else { return false };
        self.near.iter().any(|(ip, mask)| ip.to_bits() & mask.to_bits() == from.to_bits() & mask.to_bits())
    }

    /// Sends an announcement to the group.
    pub(crate) async fn announce(&self, packet: &[u8]) -> Result<()> {
        self.send(&self.group, packet).await
    }

    async fn send(&self, socket: &UdpSocket, packet: &[u8]) -> Result<()> {
        let mut failure = io::Error::from(io::ErrorKind::NetworkUnreachable);
        let mut sent = false;
        for ip in &self.joined {
            let result = match SockRef::from(socket).set_multicast_if_v4(ip) {
                Ok(()) => socket.send_to(packet, self.to).await,
                Err(error) => Err(error),
            };
            match result {
                Ok(_) => sent = true,
                Err(error) => failure = error,
            }
        }
        if sent {
            return Ok(());
        }
        Err(Error::new(Kind::Unavailable, "cannot send to the mDNS group on any interface")
            .with("group", self.to)
            .source(failure))
    }

    /// Sends an answer to whoever asked.
    pub(crate) async fn answer(&self, packet: &[u8], to: SocketAddr) {
        if let Err(error) = self.group.send_to(packet, to).await {
            tracing::debug!(%to, %error, "an mDNS answer was not sent");
        }
    }
}

fn bind(port: u16, shared: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    if shared {
        // Several programs of one machine hear the same port.
        socket.set_reuse_address(true)?;
        #[cfg(unix)]
        socket.set_reuse_port(true)?;
        // Only the group that this socket joined, not those of others on the port.
        #[cfg(target_os = "linux")]
        socket.set_multicast_all_v4(false)?;
    }
    socket.set_multicast_loop_v4(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())?;
    UdpSocket::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_who_is_on_a_network_of_this_machine_is_near() {
        let address = micro_core::address::Address::parse("mdns://239.7.7.7:17999?interface=lo").unwrap();
        let config = Config::new(&micro_core::registry::RegistryOptions::new().address(address)).unwrap();
        let sockets = Sockets::open(&config).unwrap();
        assert!(sockets.is_near("127.0.0.1:5353".parse().unwrap()));
        // Kept for documentation: on nobody's network.
        assert!(!sockets.is_near("203.0.113.7:5353".parse().unwrap()));
    }
}
