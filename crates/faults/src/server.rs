//! What every server of a test's own has: a folder, ports, and a process that is ended and started again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tempfile::TempDir;

use crate::{Failure, Ports, Process, Result, wait};

/// Generous: other tests may start servers at the same time.
const READY: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Server {
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

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.port(0))
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
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

    pub(crate) fn kill(&self) {
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

    pub(crate) fn pause(&self) {
        if let Some(process) = self.lock().as_mut() {
            process.pause();
        }
    }

    pub(crate) fn resume(&self) {
        if let Some(process) = self.lock().as_mut() {
            process.resume();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
