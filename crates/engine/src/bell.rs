use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use micro_core::Result;

use crate::failure::io_failure;
use crate::home::Home;
use crate::listener::{SocketPath, Wake};
use crate::process::Process;

/// A folder's time stamp may stand still this long while names come and go.
const STAMP_STEP: Duration = Duration::from_millis(50);

/// Wakes the other processes of the folder. It never blocks: who is too busy to hear is awake already.
#[derive(Debug)]
pub struct Bell {
    run: PathBuf,
    own: String,
    socket: UnixDatagram,
    peers: Vec<(String, SocketPath)>,
    seen: Option<SystemTime>,
}

impl Bell {
    /// Makes a bell for a folder.
    ///
    /// # Errors
    ///
    /// If the kernel has no socket left.
    pub fn open(home: &Home, process: &Process) -> Result<Self> {
        let run = home.run().to_owned();
        let failed = |error: io::Error| io_failure(&run, "make a wake-up socket", &error);
        let socket = UnixDatagram::unbound().map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        Ok(Self { own: format!("{}.sock", process.id()), run, socket, peers: Vec::new(), seen: None })
    }

    /// Tells every other listening process what is new: one system call each, and one to see who is there.
    pub fn ring(&mut self, wakes: &[Wake]) {
        self.refresh();
        let socket = &self.socket;
        let mut stale = Vec::new();
        self.peers.retain(|(name, place)| {
            for wake in wakes {
                match socket.send_to(&wake.to_bytes(), place.path()) {
                    Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                        stale.push(name.clone());
                        return false;
                    }
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return false,
                    _ => {}
                }
            }
            true
        });
        for name in stale {
            let _ = std::fs::remove_file(self.run.join(name));
        }
    }

    fn refresh(&mut self) {
        let stamp = std::fs::metadata(&self.run).and_then(|meta| meta.modified()).ok();
        if stamp.is_some() && stamp == self.seen {
            return;
        }
        // A change within the same step of the clock would go unseen: a fresh stamp is not yet believed.
        self.seen = stamp.filter(|stamp| stamp.elapsed().is_ok_and(|age| age > STAMP_STEP));
        let names = std::fs::read_dir(&self.run).into_iter().flatten().flatten();
        self.peers = names
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name.ends_with(".sock") && *name != self.own)
            .filter_map(|name| Some((name.clone(), SocketPath::new(&self.run, &name).ok()?)))
            .collect();
    }
}
