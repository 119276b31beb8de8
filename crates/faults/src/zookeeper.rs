//! A real ZooKeeper of a test's own, on a free port, with its data in a temporary folder.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tempfile::TempDir;

use crate::{Failure, Ports, Process, Result, wait};

/// Where the Debian package has it, which also says where its libraries are.
const JAR: &str = "/usr/share/java/zookeeper.jar";

/// Generous: other tests may start servers at the same time.
const READY: Duration = Duration::from_secs(60);
const ASKED: Duration = Duration::from_secs(2);

/// One server with ticks of 500 ms, so that no session is shorter than 1 s. Dropped, it is killed and its data removed. What
/// is done to it can be done from several threads.
///
/// It is `zookeeper.jar` of the Debian package zookeeper, run by `java`.
#[derive(Debug)]
pub struct ZooKeeper {
    // Before the folder: the server ends before its files go.
    process: Mutex<Option<Process>>,
    ports: Ports,
    folder: TempDir,
}

impl ZooKeeper {
    /// Starts one, and waits until it serves.
    ///
    /// # Errors
    ///
    /// If ZooKeeper is not installed or does not come up; the text then has the end of its log.
    pub fn start() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("micro-zookeeper-").tempdir();
        let folder = folder.map_err(|e| Failure::new(format!("cannot make a temporary folder for ZooKeeper: {e}")))?;
        let started = Self { process: Mutex::default(), ports: Ports::take(1)?, folder };
        started.run()?;
        Ok(started)
    }

    /// Returns where it serves clients, `127.0.0.1:<port>`; the same also after it was started again.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.port(0))
    }

    /// Returns the folder of its log and its data.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends it without warning.
    pub fn kill(&self) {
        if let Some(process) = self.lock().as_mut() {
            process.kill();
        }
    }

    /// Kills it if it runs, starts it again on its port and its data, and waits until it serves.
    ///
    /// # Errors
    ///
    /// If it does not come up.
    pub fn restart(&self) -> Result<()> {
        self.kill();
        self.run()
    }

    /// As [`restart`](Self::restart), with nothing left of its data.
    ///
    /// # Errors
    ///
    /// If the data cannot be removed, or it does not come up.
    pub fn restart_empty(&self) -> Result<()> {
        self.kill();
        let data = self.data();
        fs::remove_dir_all(&data).map_err(|e| Failure::new(format!("cannot remove {}: {e}", data.display())))?;
        self.run()
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

    /// Answers one of its words of four letters: `dump` tells the sessions and their nodes.
    ///
    /// # Errors
    ///
    /// If it does not answer.
    pub fn ask(&self, word: &str) -> Result<String> {
        let asked = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.ports.port(0)))?;
            stream.set_read_timeout(Some(ASKED))?;
            stream.write_all(word.as_bytes())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        asked().map_err(|e| Failure::new(format!("ZooKeeper at {} does not answer {word}: {e}", self.address())))
    }

    /// Runs one command of ZooKeeper's own client (`get /a`), and returns what it prints.
    ///
    /// # Errors
    ///
    /// If the client cannot be run or fails, with what it said.
    pub fn cli(&self, arguments: &[&str]) -> Result<String> {
        let mut command = java();
        command.args(["org.apache.zookeeper.ZooKeeperMain", "-server", &self.address()]).args(arguments);
        let what = format!("ZooKeeper's client with {arguments:?}");
        let output = command.output();
        let output =
            output.map_err(|e| Failure::new(format!("cannot run {what}: {e}; install default-jre-headless")))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if !output.status.success() {
            return Err(Failure::new(format!("{what} on {} failed: {}", self.address(), text(&output.stderr))));
        }
        Ok(text(&output.stdout))
    }

    fn run(&self) -> Result<()> {
        if !Path::new(JAR).is_file() {
            return Err(Failure::new(format!("there is no {JAR}; install the Debian package zookeeper")));
        }
        let settings = self.folder().join("zoo.cfg");
        let text = format!(
            "tickTime=500\ndataDir={}\nclientPort={}\nclientPortAddress=127.0.0.1\nmaxClientCnxns=0\n\
             admin.enableServer=false\n4lw.commands.whitelist=*\n",
            self.data().display(),
            self.ports.port(0)
        );
        fs::write(&settings, text).map_err(|e| Failure::new(format!("cannot write {}: {e}", settings.display())))?;
        let mut command = java();
        // A test has no disk to protect.
        command.arg("-Dzookeeper.forceSync=no").arg("org.apache.zookeeper.server.quorum.QuorumPeerMain").arg(settings);
        let process = Process::start("zookeeper", &mut command, &self.folder().join("zookeeper.log"))
            .map_err(|failure| Failure::new(format!("{failure}; install zookeeper and default-jre-headless")))?;
        *self.lock() = Some(process);
        let ready = || {
            let runs = self.lock().as_mut().is_some_and(Process::is_running);
            if runs { self.serves().then_some(Ok(())) } else { Some(Err(())) }
        };
        let what = match wait::until(READY, ready) {
            Some(Ok(())) => return Ok(()),
            Some(Err(())) => "it ended before it was ready".to_owned(),
            None => format!("it did not serve on {} within {} s", self.address(), READY.as_secs()),
        };
        let never = || Failure::new("ZooKeeper was never started");
        Err(self.lock().as_ref().map_or_else(never, |process| process.tell(&what)))
    }

    /// It says that it is well a moment before it takes sessions.
    fn serves(&self) -> bool {
        self.ask("srvr").is_ok_and(|said| said.contains("Mode: "))
    }

    fn data(&self) -> PathBuf {
        self.folder().join("data")
    }

    fn lock(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn java() -> Command {
    let mut command = Command::new("java");
    // Small, and quick to start: many of them run beside each other.
    command.args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", JAR]);
    command
}
