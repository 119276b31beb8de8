//! A service as a process of its own.

use std::path::Path;
use std::time::Duration;

use micro::{Error, Kind, Result};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;

/// A running service of this program. Dropped, it is killed.
pub(crate) struct Child {
    role: &'static str,
    process: tokio::process::Child,
}

impl Child {
    /// Starts this program anew in a role, with a `~/.micro` of its own.
    pub(crate) fn start(role: &'static str, home: &Path) -> Result<Self> {
        let failed = |error| Error::new(Kind::Internal, format!("cannot start the {role} service")).source(error);
        let process = Command::new(std::env::current_exe().map_err(failed)?)
            .arg(role)
            .env("MICRO_HOME", home)
            // Without mDNS and on loopback: two demos on one network do not serve each other's customers.
            .env("MICRO_REGISTRY", "embedded")
            .env("MICRO_SERVER_ADDRESS", "127.0.0.1:0")
            .env("MICRO_LOG_LEVEL", std::env::var("MICRO_LOG_LEVEL").unwrap_or_else(|_| "warn".to_owned()))
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        Ok(Self { role, process })
    }

    /// Kills it with SIGKILL: it cannot say goodbye.
    pub(crate) async fn kill(mut self) -> Result<()> {
        self.process
            .kill()
            .await
            .map_err(|error| Error::new(Kind::Internal, format!("cannot kill the {} service", self.role)).source(error))
    }

    /// Asks it to stop with SIGTERM and waits until it has.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let failed = |why: String| Error::new(Kind::Internal, format!("the {} service {why}", self.role));
        let pid = self.process.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let pid = pid.ok_or_else(|| failed("has ended before it was asked to; its log is above".to_owned()))?;
        kill_process(pid, Signal::TERM).map_err(|error| failed(format!("cannot be asked to stop: {error}")))?;
        let status = tokio::time::timeout(Duration::from_secs(30), self.process.wait())
            .await
            .map_err(|_| failed("did not stop within 30 s of SIGTERM".to_owned()))?
            .map_err(|error| failed(format!("cannot be waited for: {error}")))?;
        if status.success() { Ok(()) } else { Err(failed(format!("stopped with {status}"))) }
    }
}
