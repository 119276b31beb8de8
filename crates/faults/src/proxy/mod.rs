mod corruption;
mod link;

pub use corruption::{Corruption, Direction};

use std::collections::HashMap;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use self::corruption::Corrupting;
use crate::{Failure, Ports, Result};

/// More connections at once than any test opens; what comes after them is closed at once.
const LONGEST: usize = 512;

/// A TCP proxy between a client and a server, whose connections break when a test says so.
///
/// It starts healed, with nowhere to forward to. Dropped, it closes everything.
///
/// A client of Kafka dials the address that the server advertises: see
/// [`Setup::advertise`](crate::kafka::Setup::advertise).
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
    _claim: Ports,
}

/// What the threads of a proxy look at.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    mode: Mode,
    target: Option<String>,
    delay: Duration,
    /// Bytes a second; 0 is no limit.
    rate: u64,
    to_server: Option<Corrupting>,
    to_client: Option<Corrupting>,
    flipped: u64,
    closed: bool,
    /// Connections that have threads, those that still dial the server included.
    running: usize,
    /// Open connections, both sides of each.
    links: HashMap<u64, [Arc<TcpStream>; 2]>,
    /// Connections so far.
    accepted: u64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Mode {
    #[default]
    Healed,
    Held,
    Cut,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1, closing what comes in until it is told where to [`forward`](Self::forward).
    ///
    /// # Errors
    ///
    /// If there is no free port.
    pub fn start() -> Result<Self> {
        let claim = Ports::take(1)?;
        let port = claim.port(0);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .map_err(|e| Failure::new(format!("a proxy cannot listen on 127.0.0.1:{port}: {e}")))?;
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let acceptor = {
            let shared = shared.clone();
            thread::spawn(move || accept(&listener, &shared))
        };
        Ok(Self { port, shared, acceptor: Some(acceptor), _claim: claim })
    }

    /// Listens as [`start`](Self::start), and forwards to a server's address, `host:port`.
    ///
    /// # Errors
    ///
    /// If there is no free port.
    pub fn to(target: impl Into<String>) -> Result<Self> {
        let proxy = Self::start()?;
        proxy.forward(target);
        Ok(proxy)
    }

    /// Returns where it listens, `127.0.0.1:<port>`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Forwards new connections to this address, `host:port`.
    pub fn forward(&self, target: impl Into<String>) {
        self.shared.lock().target = Some(target.into());
    }

    /// Closes every connection, and each new one as soon as it comes, until [`heal`](Self::heal).
    pub fn cut(&self) {
        self.shared.set(Mode::Cut);
    }

    /// Closes every connection once; new ones are forwarded at once.
    pub fn reset(&self) {
        self.shared.lock().close();
    }

    /// Keeps every connection open and lets nothing through, new ones included: a network that swallows packets.
    ///
    /// What was swallowed is lost; connections that were held are closed by [`heal`](Self::heal), since what follows a
    /// hole would be nonsense to both sides.
    pub fn hold(&self) {
        self.shared.set(Mode::Held);
    }

    /// Takes the server away without a word to the clients: its side of every connection is closed, theirs stays open and
    /// silent, and new ones are held too.
    ///
    /// What clients send is lost; their connections are closed by [`heal`](Self::heal).
    pub fn half_open(&self) {
        let mut state = self.shared.lock();
        state.mode = Mode::Held;
        for [_, server] in state.links.values() {
            // One that is closed already is as it should be.
            let _ = server.shutdown(Shutdown::Both);
        }
        self.shared.changed.notify_all();
    }

    /// Forwards again. What [`delay`](Self::delay), [`throttle`](Self::throttle) and [`corrupt`](Self::corrupt) say
    /// stays.
    pub fn heal(&self) {
        self.shared.set(Mode::Healed);
    }

    /// Lets every piece of data wait this long, in both directions; zero ends it.
    pub fn delay(&self, delay: Duration) {
        self.shared.lock().delay = delay;
        self.shared.changed.notify_all();
    }

    /// Lets no more than so many bytes a second through, each way of each connection; 0 ends it.
    ///
    /// A sender that has more is held up by its own socket as soon as the buffers between are full; nothing is lost.
    pub fn throttle(&self, bytes_per_second: u64) {
        self.shared.lock().rate = bytes_per_second;
        self.shared.changed.notify_all();
    }

    /// Flips bits of the data that goes one way from now on, counted over all connections, until [`mend`](Self::mend).
    ///
    /// Lengths and the order of bytes stay, as on a bad memory or disk; TCP's own checksum does not notice it.
    pub fn corrupt(&self, direction: Direction, corruption: Corruption) {
        *self.shared.lock().corrupting(direction) = Some(Corrupting::new(corruption));
    }

    /// Flips no bit any more.
    pub fn mend(&self) {
        let mut state = self.shared.lock();
        (state.to_server, state.to_client) = (None, None);
    }

    /// Returns how many bits were flipped so far.
    #[must_use]
    pub fn flipped(&self) -> u64 {
        self.shared.lock().flipped
    }

    /// Returns how many connections are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.lock().links.len()
    }

    /// Returns how many connections have come in so far, those that were closed at once included.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.shared.lock().accepted
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.set(Mode::Cut);
        // The acceptor waits for a connection and sees the end with this one.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, mode: Mode) {
        let mut state = self.lock();
        if mode == Mode::Cut || (state.mode == Mode::Held && mode == Mode::Healed) {
            state.close();
        }
        state.mode = mode;
        self.changed.notify_all();
    }
}

impl State {
    fn corrupting(&mut self, direction: Direction) -> &mut Option<Corrupting> {
        match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        }
    }

    fn close(&mut self) {
        for stream in self.links.drain().flat_map(|(_, link)| link) {
            // One that is closed already is as it should be.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        let (number, target) = {
            let mut state = shared.lock();
            if state.closed {
                return;
            }
            state.accepted += 1;
            let open = state.mode != Mode::Cut && state.running < LONGEST;
            let target = state.target.clone().filter(|_| open && client.is_ok());
            state.running += usize::from(target.is_some());
            (state.accepted, target)
        };
        if let (Ok(client), Some(target)) = (client, target) {
            let shared = shared.clone();
            // In a thread: a server that does not answer the call must not keep the next client waiting.
            thread::spawn(move || {
                link::run(number, client, &target, &shared);
                shared.lock().running -= 1;
            });
        }
    }
}
