//! A network that can be cut in two: members know each other only by addresses of relays, which carry packets between the
//! sides until they are cut.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use std::{io, thread};

use micro_conformance::registry::Outage;
use micro_core::registry::Registry;
use micro_registry_gossip::Gossip;

use crate::cluster::{TIMES, address, registry};

/// How soon a thread sees that the test is over.
const TICK: Duration = Duration::from_millis(50);

/// Two sides and the way between them. Made when a member is, so that it costs nothing before.
#[derive(Debug, Default)]
pub(crate) struct Network {
    way: Arc<Way>,
    far: OnceLock<(Arc<Gossip>, SocketAddr)>,
}

#[derive(Debug, Default)]
struct Way {
    cut: AtomicBool,
    ended: AtomicBool,
    relays: Mutex<Vec<Arc<Relay>>>,
}

/// Where others reach one member, and from where they hear of it.
#[derive(Debug)]
struct Relay {
    socket: UdpSocket,
    member: SocketAddr,
    far: bool,
}

impl Network {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn near(&self) -> Gossip {
        let seed = self.far_side().1;
        let (listen, advertise) = self.way.relay(false);
        registry(&format!("gossip://{seed}?listen={listen}&advertise={advertise}&{TIMES}"))
    }

    fn far_side(&self) -> &(Arc<Gossip>, SocketAddr) {
        self.far.get_or_init(|| {
            let (listen, advertise) = self.way.relay(true);
            let far = Arc::new(registry(&format!("gossip://?listen={listen}&advertise={advertise}&{TIMES}")));
            // It is there before anybody asks it.
            assert_eq!(address(&far), advertise.to_string());
            (far, advertise)
        })
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.way.ended.store(true, Ordering::SeqCst);
    }
}

impl Way {
    /// Makes a relay; returns where its member is to listen, and what it is to advertise.
    fn relay(self: &Arc<Self>, far: bool) -> (SocketAddr, SocketAddr) {
        let bind = || UdpSocket::bind("127.0.0.1:0").unwrap();
        let member = bind().local_addr().unwrap();
        let socket = bind();
        socket.set_read_timeout(Some(TICK)).unwrap();
        let address = socket.local_addr().unwrap();
        let relay = Arc::new(Relay { socket, member, far });
        self.relays.lock().unwrap().push(Arc::clone(&relay));
        let way = Arc::clone(self);
        thread::spawn(move || way.carry(&relay));
        (member, address)
    }

    /// Carries what comes for a member, as if it came from the relay of who sent it.
    fn carry(&self, to: &Relay) {
        let mut buffer = vec![0; 65_536];
        while !self.ended.load(Ordering::SeqCst) {
            let (length, from) = match to.socket.recv_from(&mut buffer) {
                Ok(packet) => packet,
                Err(error) => {
                    let quiet = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut, io::ErrorKind::ConnectionRefused];
                    assert!(quiet.contains(&error.kind()), "{error}");
                    continue;
                }
            };
            let sender = self.relays.lock().unwrap().iter().find(|relay| relay.member == from).cloned();
            let Some(sender) = sender else { continue };
            if sender.far == to.far || !self.cut.load(Ordering::SeqCst) {
                // Who it is for may have gone.
                let _ = sender.socket.send_to(&buffer[..length], to.member);
            }
        }
    }
}

/// Nobody keeps records for others, so that there is no server to be away: the network falls in two, and each side goes on
/// by itself. It is silent, and silence is no error.
impl Outage for Network {
    fn client(&self) -> Arc<dyn Registry> {
        Arc::new(self.near())
    }

    fn elsewhere(&self) -> Arc<dyn Registry> {
        Arc::clone(&self.far_side().0) as Arc<dyn Registry>
    }

    fn cut(&self) {
        self.way.cut.store(true, Ordering::SeqCst);
    }

    fn heal(&self) {
        self.way.cut.store(false, Ordering::SeqCst);
    }

    fn restart(&self) {
        self.heal();
    }

    fn is_told(&self) -> bool {
        false
    }
}
