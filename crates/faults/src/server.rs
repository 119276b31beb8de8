//! What every server of a test's own has: a folder, ports, and a process that is ended and started again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tempfile::TempDir;

use crate::{Authority, Failure, Ports, Process, Result, wait};

/// Generous: other tests may start servers at the same time.
const READY: Duration = Duration::from_secs(60);

/// A server of a test's own, of which it is the part that all have. Dropped, it is killed and its folder removed. What is done
/// to it can be done from several threads.
#[derive(Debug)]
pub struct Server {
    name: &'static str,
    /// The Debian packages that have its program.
    packages: &'static str,
    // Before the folder: the server ends before its files go.
    process: Mutex<Option<Process>>,
    pub(crate) ports: Ports,
    folder: TempDir,
}

impl Server {
    /// Takes a folder and so many ports; starts nothing.
    pub(crate) fn new(name: &'static str, packages: &'static str, ports: usize) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix(&format!("micro-{name}-")).tempdir();
        let folder = folder.map_err(|e| Failure::new(format!("cannot make a temporary folder for {name}: {e}")))?;
        Ok(Self { name, packages, process: Mutex::default(), ports: Ports::take(ports)?, folder })
    }

    /// Returns where it serves clients, `127.0.0.1:<port>`; the same also after it was started again.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.port(0))
    }

    /// Returns the folder of its log, its settings, its data and its certificates.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the PEM file of the authority that signed the certificate of a server that speaks TLS.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.folder().join("ca.pem")
    }

    /// Returns the PEM file of an authority that signed nothing here.
    #[must_use]
    pub fn other_ca(&self) -> PathBuf {
        self.folder().join("other-ca.pem")
    }

    /// Returns the PEM files of a certificate that the same authority signed for clients, and of its key.
    #[must_use]
    pub fn client_certificate(&self) -> (PathBuf, PathBuf) {
        (self.folder().join("client.pem"), self.folder().join("client.key"))
    }

    pub(crate) fn make_certificates(&self) -> Result<()> {
        let authority = Authority::in_folder(self.folder(), "ca")?;
        authority.sign("server", &["127.0.0.1", "localhost"])?;
        authority.sign("client", &["localhost"])?;
        Authority::in_folder(self.folder(), "other-ca").map(drop)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder().join("data")
    }

    /// Starts it; it may not serve yet.
    pub(crate) fn launch(&self, command: &mut Command) -> Result<()> {
        let log = self.folder().join(format!("{}.log", self.name));
        let process = Process::start(self.name, command, &log)
            .map_err(|failure| Failure::new(format!("{failure}; install {}", self.packages)))?;
        *self.lock() = Some(process);
        Ok(())
    }

    /// Waits until it serves.
    pub(crate) fn until_serving(&self, serves: impl Fn() -> bool) -> Result<()> {
        let ready = || {
            let runs = self.lock().as_mut().is_some_and(Process::is_running);
            if runs { serves().then_some(Ok(())) } else { Some(Err(())) }
        };
        let what = match wait::until(READY, ready) {
            Some(Ok(())) => return Ok(()),
            Some(Err(())) => "it ended before it was ready".to_owned(),
            None => format!("it did not serve on {} within {} s", self.address(), READY.as_secs()),
        };
        let never = || Failure::new(format!("{} was never started", self.name));
        Err(self.lock().as_ref().map_or_else(never, |process| process.tell(&what)))
    }

    /// Ends it without warning.
    pub fn kill(&self) {
        if let Some(process) = self.lock().as_mut() {
            process.kill();
        }
    }

    /// Kills it and removes its data.
    pub(crate) fn forget(&self) -> Result<()> {
        self.kill();
        let data = self.data();
        match fs::remove_dir_all(&data) {
            Err(error) if data.exists() => Err(Failure::new(format!("cannot remove {}: {error}", data.display()))),
            _ => Ok(()),
        }
    }

    /// Freezes it: its connections stay open, and nothing is answered.
    pub fn pause(&self) {
        if let Some(process) = self.lock().as_mut() {
            process.pause();
        }
    }

    /// Lets it go on after a pause.
    pub fn resume(&self) {
        if let Some(process) = self.lock().as_mut() {
            process.resume();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
