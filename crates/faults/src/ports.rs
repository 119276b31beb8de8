use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::ops::Range;

use crate::{Failure, Result};

const LOWEST: u16 = 10_000;
/// End of the range where the system does not say which ports it hands out itself.
const USUAL_END: u16 = 32_000;
const TRIES: u16 = 2_000;

/// Ports of 127.0.0.1 that nobody else takes, also while the server that uses them is down.
///
/// They lie below the range from which the system gives outgoing connections their ports: a client that dials a dead
/// server again and again would otherwise get that very port one day, and connect to itself. A UDP socket on the same
/// number, held as long as this lives, keeps other tests away.
#[derive(Debug)]
pub struct Ports {
    claims: Vec<(u16, UdpSocket)>,
}

impl Ports {
    /// Takes this many.
    ///
    /// # Errors
    ///
    /// If so many are not free.
    pub fn take(count: usize) -> Result<Self> {
        let range = range();
        let width = range.end - range.start;
        // The tests of a run start together: each begins to look elsewhere.
        let random = RandomState::new().build_hasher().finish();
        let first = u16::try_from(random % u64::from(width)).unwrap_or_default();
        let mut claims = Vec::with_capacity(count);
        for step in 0..TRIES.min(width) {
            if claims.len() == count {
                break;
            }
            let offset = (u32::from(first) + u32::from(step)) % u32::from(width);
            claims.extend(claim(range.start + u16::try_from(offset).unwrap_or_default()));
        }
        if claims.len() < count {
            return Err(Failure::new(format!(
                "looked for {count} free ports of 127.0.0.1 between {} and {}, and found {}; which servers run here?",
                range.start,
                range.end,
                claims.len()
            )));
        }
        Ok(Self { claims })
    }

    /// Returns the port of this place, counted from 0.
    ///
    /// # Panics
    ///
    /// If fewer were taken.
    #[must_use]
    pub fn port(&self, place: usize) -> u16 {
        self.claims[place].0
    }
}

fn claim(port: u16) -> Option<(u16, UdpSocket)> {
    let claim = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
    // Some server that knows nothing of claims may be there.
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
    Some((port, claim))
}

fn range() -> Range<u16> {
    let system = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let end = system.split_whitespace().next().and_then(|low| low.parse().ok());
    LOWEST..end.filter(|end| *end >= LOWEST + TRIES).unwrap_or(USUAL_END)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice_while_it_is_held() {
        let taken: Vec<Ports> = (0..20).map(|_| Ports::take(5).unwrap()).collect();
        let mut ports: Vec<u16> = taken.iter().flat_map(|ports| (0..5).map(|place| ports.port(place))).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 100);
        assert!(claim(ports[0]).is_none());
        drop(taken);
        assert!(ports.iter().any(|port| claim(*port).is_some()), "they are free again");
    }
}
