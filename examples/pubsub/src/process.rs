//! The programs of this example as child processes, and what they say.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// The ids of the messages that a program named, by topic.
#[derive(Debug, Default, Clone)]
pub(crate) struct Ids {
    pub(crate) topic1: HashSet<String>,
    pub(crate) topic2: HashSet<String>,
}

/// What the programs of one run have in common.
#[derive(Debug)]
pub(crate) struct Stage {
    /// Their embedded folder, gone afterwards.
    pub(crate) home: tempfile::TempDir,
    /// A word that no other run has.
    pub(crate) run: String,
}

/// A running program; it ends with this value.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    ids: Arc<Mutex<Ids>>,
}

impl Process {
    /// Starts the program that lies beside this one, with its own copy of the embedded folder's name.
    ///
    /// It has the flags of this one, and the run's word in the names of its topics: the broker may be one that other
    /// runs use.
    pub(crate) fn start(name: &'static str, program: &str, args: &[&str], stage: &Stage) -> std::io::Result<Self> {
        let path = std::env::current_exe()?.with_file_name(program);
        let mut child = Command::new(&path)
            .args(args)
            .args(std::env::args().skip(1))
            .env("MICRO_HOME", stage.home.path())
            .env("MICRO_REGISTRY", "embedded")
            .env("MICRO_RUN", &stage.run)
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| {
                let text = format!("cannot start {}: {error}; build it by `cargo build -p pubsub`", path.display());
                std::io::Error::new(error.kind(), text)
            })?;
        let ids = Arc::new(Mutex::new(Ids::default()));
        let (lines, seen) = (child.stderr.take(), Arc::clone(&ids));
        thread::spawn(move || {
            for line in lines.map(BufReader::new).into_iter().flat_map(BufRead::lines).map_while(Result::ok) {
                eprintln!("{name:<4} | {line}");
                note(&line, &mut seen.lock().expect("nobody panics with it"));
            }
        });
        Ok(Self { child, ids })
    }

    /// Returns what it has named so far.
    pub(crate) fn ids(&self) -> Ids {
        self.ids.lock().expect("nobody panics with it").clone()
    }

    /// Ends it without a warning, as a crash does.
    pub(crate) fn kill(&mut self) -> std::io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(&mut self) -> std::io::Result<()> {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        }
        let began = Instant::now();
        while self.child.try_wait()?.is_none() {
            if began.elapsed() > Duration::from_secs(20) {
                return Err(std::io::Error::new(std::io::ErrorKind::TimedOut, "a program did not stop within 20 s"));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.kill();
    }
}

fn note(line: &str, ids: &mut Ids) {
    let Some((_, rest)) = line.split_once("map[id:") else { return };
    let Some((id, _)) = rest.split_once(']') else { return };
    if line.contains("day on topic1") {
        ids.topic1.insert(id.to_owned());
    } else if line.contains("day on topic2") {
        ids.topic2.insert(id.to_owned());
    }
}
