use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::{Failure, Result, wait};

/// Lines of the log that an error shows.
const TAIL: usize = 30;

/// How long its threads may take to stand still.
const STOPPING: Duration = Duration::from_secs(2);

/// Ends the server when the pipe from us closes, however we ended; a line through the pipe calls it off.
const WATCHDOG: &str = r#"read -r _ || kill -KILL "-$1""#;

/// A server as a child process, with its output in a file.
///
/// It runs in a process group of its own, to which all signals go. It is killed when this is dropped, and also when this
/// process dies without dropping anything.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    child: Child,
    watchdog: Child,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts it; the output goes to the end of the log file. The name is for error texts.
    ///
    /// # Errors
    ///
    /// If the log cannot be written or the program not be started.
    pub fn start(name: impl Into<String>, command: &mut Command, log: &Path) -> Result<Self> {
        let name = name.into();
        let failed = |error: std::io::Error| {
            Failure::new(format!(
                "cannot start {name} as {} with its log in {}: {error}",
                command.get_program().display(),
                log.display()
            ))
        };
        let output = File::options().create(true).append(true).open(log).map_err(failed)?;
        let errors = output.try_clone().map_err(failed)?;
        let child = command.stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0).spawn();
        let mut child = child.map_err(|error| {
            Failure::new(format!("cannot start {name} as {}: {error}", command.get_program().display()))
        })?;
        match watchdog(&child) {
            Ok(watchdog) => Ok(Self { name, log: log.to_owned(), child, watchdog, ended: None }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(Failure::new(format!("cannot watch {name} by sh, so it was ended again: {error}")))
            }
        }
    }

    /// Ends it without warning, as a crash or a power cut does.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.call_off();
        if self.ended.is_none() {
            self.ended = self.child.wait().ok();
        }
    }

    /// Asks it to end and waits; past the limit it is killed. One that has ended already is left alone.
    ///
    /// # Errors
    ///
    /// If it had to be killed.
    pub fn stop(&mut self, limit: Duration) -> Result<()> {
        self.signal(Signal::TERM);
        // One that is paused would not hear it.
        self.signal(Signal::CONT);
        if wait::until(limit, || (!self.is_running()).then_some(())).is_some() {
            return Ok(());
        }
        self.kill();
        Err(self.tell(&format!("it did not end within {} s of SIGTERM and was killed", limit.as_secs_f32())))
    }

    /// Waits for a program that ends by itself; past the limit it is killed.
    ///
    /// # Errors
    ///
    /// If it fails or had to be killed.
    pub fn finish(&mut self, limit: Duration) -> Result<()> {
        if wait::until(limit, || (!self.is_running()).then_some(())).is_none() {
            self.kill();
            return Err(self.tell(&format!("it did not end within {} s and was killed", limit.as_secs_f32())));
        }
        match self.ended {
            Some(status) if status.success() => Ok(()),
            _ => Err(self.tell("it failed")),
        }
    }

    /// Freezes it: its connections stay open and nothing is answered. Returns when all its threads stand still.
    pub fn pause(&mut self) {
        self.signal(Signal::STOP);
        // Each thread stops when it next comes by the kernel.
        let id = self.child.id();
        let _ = wait::until(STOPPING, || stands_still(id).then_some(()));
    }

    /// Lets it go on after a pause.
    pub fn resume(&mut self) {
        self.signal(Signal::CONT);
    }

    /// Tells whether it has not ended. A paused one runs.
    pub fn is_running(&mut self) -> bool {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
            if self.ended.is_some() {
                self.call_off();
            }
        }
        self.ended.is_none()
    }

    /// Returns the id of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns its last lines of output.
    #[must_use]
    pub fn tail(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL)..].join("\n")
    }

    /// An error about it, with what it said last.
    pub(crate) fn tell(&self, what: &str) -> Failure {
        let ended = self.ended.map(|status| format!(" ({status})")).unwrap_or_default();
        Failure::new(format!("{}{ended}: {what}; the end of {}:\n{}", self.name, self.log.display(), self.tail()))
    }

    fn signal(&mut self, signal: Signal) {
        // Once it was waited for, the number may belong to somebody else.
        if self.is_running()
            && let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
        {
            let _ = kill_process_group(pid, signal);
        }
    }

    fn call_off(&mut self) {
        if let Some(mut pipe) = self.watchdog.stdin.take() {
            let _ = pipe.write_all(b"\n");
        }
        let _ = self.watchdog.wait();
    }
}

/// Tells whether no thread of a process runs; where the system does not say, it is believed.
fn stands_still(id: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{id}/task")) else { return true };
    threads.flatten().all(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit(')')
            .next()
            .is_none_or(|rest| rest.trim_start().is_empty() || rest.trim_start().starts_with(['T', 't']))
    })
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn watchdog(server: &Child) -> std::io::Result<Child> {
    let mut shell = Command::new("sh");
    shell.args(["-c", WATCHDOG, "watchdog"]).arg(server.id().to_string());
    // In a group of its own, so that what ends ours, or the terminal, does not end it first.
    shell.process_group(0).current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}
