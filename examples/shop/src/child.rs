//! A service as a process of its own.

use std::time::Duration;

use micro::{Error, Kind, Result};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::Command;

/// What the services of one demo have in common.
pub(crate) struct Stage {
    /// Their `~/.micro`, gone afterwards.
    pub(crate) home: TempDir,
    /// The flags of the demo: which broker.
    pub(crate) flags: Vec<String>,
    /// Added to the names of topics and queues: the broker may be one that other runs use.
    pub(crate) run: String,
}

/// A running service of this program. Dropped, it is killed.
pub(crate) struct Child {
    role: &'static str,
    process: tokio::process::Child,
}

impl Child {
    /// Starts this program anew in a role, with the flags that it has itself.
    pub(crate) fn start(role: &'static str, stage: &Stage) -> Result<Self> {
        let failed = |error| Error::new(Kind::Internal, format!("cannot start the {role} service")).source(error);
        let process = Command::new(std::env::current_exe().map_err(failed)?)
            .arg(role)
            .args(&stage.flags)
            .env("MICRO_HOME", stage.home.path())
            .env("MICRO_RUN", &stage.run)
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
