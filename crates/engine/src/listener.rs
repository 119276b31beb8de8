use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use micro_core::Result;
use rustix::net::{RecvFlags, recv};

use crate::failure::io_failure;
use crate::home::Home;
use crate::process::Process;

/// The path of a Unix socket has 108 bytes at most; a longer one is reached through the folder's descriptor.
const PATH_LIMIT: usize = 100;
/// As many waiting wake-ups as a socket surely holds (`net.unix.max_dgram_qlen` is 10 on old kernels): with more, some
/// may have been lost.
const SURELY_HELD: usize = 8;

/// Something is new on a channel; which parts of it, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wake {
    /// A plugin's own number.
    pub channel: u64,
    /// Bit `n` stands for part `n % 64`.
    pub parts: u64,
}

impl Wake {
    pub(crate) fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.channel.to_le_bytes());
        bytes[8..].copy_from_slice(&self.parts.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (channel, parts) = bytes.split_at_checked(8)?;
        Some(Self {
            channel: u64::from_le_bytes(channel.try_into().ok()?),
            parts: u64::from_le_bytes(parts.try_into().ok()?),
        })
    }
}

/// The place where this process hears that there is something new: a datagram socket `run/<id>.sock`.
///
/// One thread waits on it. A wake-up may be lost when the socket is full; the waiter asks by itself now and then.
#[derive(Debug)]
pub struct Listener {
    socket: UnixDatagram,
    limit: Option<Duration>,
    signal: Signal,
}

/// Wakes the thread of a [`Listener`] from within the process.
#[derive(Debug, Clone)]
pub struct Signal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pending: AtomicBool,
    socket: UnixDatagram,
}

impl Signal {
    /// Wakes the thread; one system call at most until it is awake.
    pub fn notify(&self) {
        if !self.0.pending.swap(true, Ordering::AcqRel) {
            // A full socket wakes it just as well.
            let _ = self.0.socket.send(&[]);
        }
    }
}

impl Listener {
    /// Makes the socket.
    ///
    /// # Errors
    ///
    /// If the folder cannot be written.
    pub fn open(home: &Home, process: &Process) -> Result<Self> {
        let name = format!("{}.sock", process.id());
        let failed = |error: io::Error| io_failure(home.run(), "make the wake-up socket", &error);
        let place = SocketPath::new(home.run(), &name).map_err(failed)?;
        let _ = std::fs::remove_file(home.run().join(&name));
        let socket = UnixDatagram::bind(place.path()).map_err(failed)?;
        let own = UnixDatagram::unbound().map_err(failed)?;
        own.connect(place.path()).map_err(failed)?;
        own.set_nonblocking(true).map_err(failed)?;
        let signal = Signal(Arc::new(Inner { pending: AtomicBool::new(false), socket: own }));
        Ok(Self { socket, limit: None, signal })
    }

    /// Returns what wakes the waiting thread from within the process.
    #[must_use]
    pub fn signal(&self) -> Signal {
        self.signal.clone()
    }

    /// Waits for wake-ups, at most this long, and adds all that are there. Tells whether some may have been lost.
    pub fn wait(&mut self, limit: Duration, wakes: &mut Vec<Wake>) -> bool {
        let mut buffer = [0u8; 16];
        let mut flags = RecvFlags::empty();
        if limit.is_zero() {
            flags = RecvFlags::DONTWAIT;
        } else if self.limit != Some(limit) && self.socket.set_read_timeout(Some(limit)).is_ok() {
            self.limit = Some(limit);
        }
        let mut count = 0;
        while let Ok((_, length)) = recv(&self.socket, &mut buffer[..], flags) {
            flags = RecvFlags::DONTWAIT;
            count += 1;
            wakes.extend(Wake::from_bytes(&buffer[..length.min(16)]));
            if count == 1024 {
                break;
            }
        }
        self.signal.0.pending.store(false, Ordering::Release);
        count >= SURELY_HELD
    }
}

/// The path of a socket, short enough whatever the folder is called.
#[derive(Debug)]
pub(crate) struct SocketPath {
    path: PathBuf,
    _folder: Option<File>,
}

impl SocketPath {
    pub(crate) fn new(folder: &Path, name: &str) -> io::Result<Self> {
        let path = folder.join(name);
        if path.as_os_str().len() <= PATH_LIMIT {
            return Ok(Self { path, _folder: None });
        }
        let folder = File::open(folder)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name);
        Ok(Self { path, _folder: Some(folder) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}
