//! A network that can be cut in two: two groups on the loopback, and a bridge that carries packets between them as a router
//! does, question and answer.

use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{io, thread};

use micro_conformance::registry::Outage;
use micro_core::registry::Registry;
use micro_registry_mdns::Mdns;
use socket2::{Domain, Socket, Type};

use super::group::Group;

/// How soon a thread sees that the test is over.
const TICK: Duration = Duration::from_millis(50);

/// More senders than any test has.
const MAX_SENDERS: usize = 64;

/// Two networks, and the way between them.
#[derive(Debug)]
pub(crate) struct Networks {
    near: Group,
    /// The client on the far side keeps its nodes itself, so that it is one and the same throughout.
    far: Mdns,
    bridge: Arc<Bridge>,
}

#[derive(Debug, Default)]
struct Bridge {
    cut: AtomicBool,
    ended: AtomicBool,
    /// Ports of the bridge itself: what comes from there it has carried already.
    ports: Mutex<HashSet<u16>>,
}

impl Networks {
    pub(crate) fn new() -> Self {
        let (near, other) = (Group::new(), Group::new());
        let bridge = Arc::new(Bridge::default());
        for (from, to) in [(&near, &other), (&other, &near)] {
            let (bridge, listener, to) = (Arc::clone(&bridge), listen(from.address), to.address);
            thread::spawn(move || bridge.carry(&listener, to));
        }
        Self { near, far: other.registry(), bridge }
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        self.bridge.ended.store(true, Ordering::SeqCst);
    }
}

impl Bridge {
    fn is_over(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// Sends what is heard on one group to the other, for each sender from a port of its own, where the answers come.
    fn carry(self: &Arc<Self>, listener: &UdpSocket, to: SocketAddrV4) {
        let mut senders: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
        let mut buffer = vec![0; 65_536];
        while !self.is_over() {
            let Some((length, from)) = received(listener, &mut buffer) else { continue };
            if self.ports.lock().unwrap().contains(&from.port()) {
                continue;
            }
            assert!(senders.len() < MAX_SENDERS, "too many senders");
            let sender = senders.entry(from).or_insert_with(|| self.sender(from));
            if !self.cut.load(Ordering::SeqCst) {
                sender.send_to(&buffer[..length], to).unwrap();
            }
        }
    }

    fn sender(self: &Arc<Self>, asker: SocketAddr) -> Arc<UdpSocket> {
        let socket = Arc::new(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap());
        socket2::SockRef::from(&*socket).set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
        socket.set_read_timeout(Some(TICK)).unwrap();
        self.ports.lock().unwrap().insert(socket.local_addr().unwrap().port());
        let (bridge, answers) = (Arc::clone(self), Arc::clone(&socket));
        thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            while !bridge.is_over() {
                if let Some((length, _)) = received(&answers, &mut buffer)
                    && !bridge.cut.load(Ordering::SeqCst)
                {
                    // Who asked may have gone.
                    let _ = answers.send_to(&buffer[..length], asker);
                }
            }
        });
        socket
    }
}

fn listen(group: SocketAddrV4) -> UdpSocket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.set_reuse_port(true).unwrap();
    #[cfg(target_os = "linux")]
    socket.set_multicast_all_v4(false).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, group.port())).into()).unwrap();
    socket.join_multicast_v4(group.ip(), &Ipv4Addr::LOCALHOST).unwrap();
    socket.set_read_timeout(Some(TICK)).unwrap();
    socket.into()
}

/// Waits a tick for a packet. That an answer reached nobody comes back as an error here, and is none.
fn received(socket: &UdpSocket, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
    match socket.recv_from(buffer) {
        Ok(packet) => Some(packet),
        Err(error) => {
            let quiet = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut, io::ErrorKind::ConnectionRefused];
            assert!(quiet.contains(&error.kind()), "{error}");
            None
        }
    }
}

/// Nobody keeps records for others, so that there is no server to be away: the network falls in two, and each side goes on
/// by itself. It is silent, and silence is no error.
impl Outage for Networks {
    fn client(&self) -> Arc<dyn Registry> {
        Arc::new(self.near.registry())
    }

    fn elsewhere(&self) -> Arc<dyn Registry> {
        Arc::new(self.far.clone())
    }

    fn cut(&self) {
        self.bridge.cut.store(true, Ordering::SeqCst);
    }

    fn heal(&self) {
        self.bridge.cut.store(false, Ordering::SeqCst);
    }

    fn restart(&self) {
        self.heal();
    }

    fn is_told(&self) -> bool {
        false
    }
}
