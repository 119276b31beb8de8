//! A part of this program as a process of its own.

use std::time::Duration;

use micro::{Error, Kind, Result};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::Command;

/// How long a process may take to end.
const END: Duration = Duration::from_secs(60);

/// What the parts of one run have in common.
pub(crate) struct Stage {
    /// Their `~/.micro`, gone afterwards.
    pub(crate) home: TempDir,
    /// The flags of the whole: which broker.
    pub(crate) flags: Vec<String>,
    /// Added to the names of topics and queues: the broker may be one that other runs use.
    pub(crate) run: String,
}

/// A running part of this program. Dropped, it is killed.
pub(crate) struct Child {
    name: String,
    process: tokio::process::Child,
}

impl Child {
    /// Starts this program anew in a role, with the flags that it has itself.
    pub(crate) fn start(words: &[&str], stage: &Stage) -> Result<Self> {
        let name = words.join(" ");
        let failed = |error| Error::new(Kind::Internal, format!("cannot start `flights {name}`")).source(error);
        let process = Command::new(std::env::current_exe().map_err(failed)?)
            .args(words)
            .args(&stage.flags)
            .env("MICRO_HOME", stage.home.path())
            .env("MICRO_RUN", &stage.run)
            // Without mDNS and on loopback: two runs on one network have nothing to do with each other.
            .env("MICRO_REGISTRY", "embedded")
            .env("MICRO_SERVER_ADDRESS", "127.0.0.1:0")
            .env("MICRO_LOG_LEVEL", std::env::var("MICRO_LOG_LEVEL").unwrap_or_else(|_| "warn".to_owned()))
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        Ok(Self { name, process })
    }

    /// Kills it with SIGKILL: it cannot say goodbye.
    pub(crate) async fn kill(mut self) -> Result<()> {
        self.process.kill().await.map_err(|error| self.failed("cannot be killed").source(error))
    }

    /// Asks it to stop with SIGTERM and waits until it has.
    pub(crate) async fn stop(self) -> Result<()> {
        let pid = self.process.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let pid = pid.ok_or_else(|| self.failed("has ended before it was asked to; its log is above"))?;
        kill_process(pid, Signal::TERM).map_err(|error| self.failed("cannot be asked to stop").source(error))?;
        self.done().await
    }

    /// Waits until it has ended by itself, and well.
    pub(crate) async fn done(mut self) -> Result<()> {
        let status = tokio::time::timeout(END, self.process.wait())
            .await
            .map_err(|_| self.failed("did not end within 60 s"))?
            .map_err(|error| self.failed("cannot be waited for").source(error))?;
        if status.success() { Ok(()) } else { Err(self.failed(&format!("ended with {status}"))) }
    }

    fn failed(&self, why: &str) -> Error {
        Error::new(Kind::Internal, format!("`flights {}` {why}", self.name))
    }
}
