//! Runs a program with a limit, and ends everything it started.

use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::Result;

/// How long a program may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

/// Set when the user or the system ends us: what we started is in groups of its own and must be told.
static ENDED: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        // Where a handler cannot be set, the signal ends us at once, as without us.
        let _ = signal_hook::flag::register(signal, flag.clone());
    }
    flag
});

/// Whether the user or the system has asked us to end. From the first call on, a signal does nothing else.
pub(crate) fn ended() -> bool {
    LazyLock::force(&ENDED).load(Ordering::Relaxed)
}

/// A running program in a process group of its own; the group is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Group {
    child: Child,
    name: String,
}

impl Group {
    /// Starts it, with nothing to read.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        ended();
        let name = command.get_program().to_string_lossy().into_owned();
        scrub(command);
        let child =
            command.stdin(Stdio::null()).process_group(0).spawn().map_err(|e| format!("cannot start {name}: {e}"))?;
        Ok(Self { child, name })
    }

    /// Lines of both outputs, as they come, without order between the two. Needs piped outputs.
    pub(crate) fn lines(&mut self) -> Receiver<String> {
        let (sender, receiver) = channel();
        let outputs: [Option<Box<dyn Read + Send>>; 2] =
            [self.child.stdout.take().map(|o| Box::new(o) as _), self.child.stderr.take().map(|o| Box::new(o) as _)];
        for output in outputs.into_iter().flatten() {
            let sender = sender.clone();
            thread::spawn(move || {
                let mut reader = BufReader::new(output);
                let mut line = Vec::new();
                while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                    if sender.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
                        break;
                    }
                    line.clear();
                }
            });
        }
        receiver
    }

    /// Whether it has ended, and how.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        if ended() {
            return Err("ended by a signal".to_owned());
        }
        self.child.try_wait().map_err(|e| format!("cannot wait for {}: {e}", self.name))
    }

    /// Waits for its end; past the limit it is killed, with all that it started.
    pub(crate) fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if start.elapsed() > limit {
                return Err(format!("{} did not end within {} s and was killed", self.name, limit.as_secs()));
            }
            thread::sleep(PAUSE);
        }
    }

    /// Asks it to end, as a supervisor does, and waits; kills it past the limit.
    pub(crate) fn stop(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::TERM);
        self.wait(GRACE).map_err(|e| format!("after SIGTERM: {e}"))
    }

    /// Ends it without warning.
    pub(crate) fn kill(self) {
        drop(self);
    }

    /// Asks it to end, and waits: a test runner that is killed leaves the tests, which have groups of their own.
    fn warn(&mut self) {
        self.signal(Signal::TERM);
        let start = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && start.elapsed() < GRACE {
            thread::sleep(PAUSE);
        }
    }

    fn signal(&self, signal: Signal) {
        let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) else { return };
        // An error means that nobody is left in the group.
        let _ = kill_process_group(pid, signal);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if ended() {
            self.warn();
        }
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}

/// Runs a command to its end, its output going where ours goes.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<ExitStatus> {
    Group::start(command)?.wait(limit)
}

/// Runs a command to its end, shows its output and gives it.
pub(crate) fn run_reading(command: &mut Command, limit: Duration) -> Result<(ExitStatus, Vec<String>)> {
    let mut group = Group::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let lines = group.lines();
    let reader = thread::spawn(move || lines.into_iter().inspect(|line| println!("{line}")).collect());
    let status = group.wait(limit)?;
    // A grandchild that lives on would hold the pipe open.
    drop(group);
    Ok((status, reader.join().unwrap_or_default()))
}

/// What `cargo run` sets for us is about us: build scripts of others would see it and build anew.
fn scrub(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|start| text.starts_with(start)) {
            command.env_remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn past_its_limit_a_program_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let script = format!("sleep 600 & echo $! > {0}.new && mv {0}.new {0}; wait", pid.display());
        let mut group = Group::start(Command::new("sh").args(["-c", &script])).unwrap();
        let start = Instant::now();
        while !pid.exists() && start.elapsed() < Duration::from_secs(60) {
            thread::sleep(PAUSE);
        }
        let child = std::fs::read_to_string(&pid).unwrap();
        let error = group.wait(Duration::from_millis(1)).unwrap_err();
        assert!(error.contains("did not end within"), "{error}");
        group.kill();
        let gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ")
        };
        while !gone() && start.elapsed() < Duration::from_secs(60) {
            thread::sleep(PAUSE);
        }
        assert!(gone(), "the child lives on");
    }

    #[test]
    fn one_that_is_warned_may_end_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let (ready, told) = (folder.path().join("ready"), folder.path().join("told"));
        let script = format!("trap 'touch {}; exit' TERM; touch {}; sleep 600 & wait", told.display(), ready.display());
        let mut group = Group::start(Command::new("sh").args(["-c", &script])).unwrap();
        let start = Instant::now();
        while !ready.exists() && start.elapsed() < Duration::from_secs(60) {
            thread::sleep(PAUSE);
        }
        group.warn();
        assert!(told.exists());
    }

    #[test]
    fn both_outputs_are_read() {
        let (status, mut lines) =
            run_reading(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]), Duration::from_secs(60))
                .unwrap();
        lines.sort();
        assert_eq!((status.code(), lines), (Some(3), vec!["err".to_owned(), "out".to_owned()]));
    }
}
