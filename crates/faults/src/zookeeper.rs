//! A real ZooKeeper of a test's own, on a free port, with its data in a temporary folder.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::ops::Deref;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::server::Server;
use crate::{Failure, Result};

/// Where the Debian package has it, which also says where its libraries are.
const JAR: &str = "/usr/share/java/zookeeper.jar";

const ASKED: Duration = Duration::from_secs(2);

/// One [`Server`] with ticks of 500 ms, so that no session is shorter than 1 s.
///
/// It is `zookeeper.jar` of the Debian package zookeeper, run by `java`.
#[derive(Debug)]
pub struct ZooKeeper {
    server: Server,
}

impl ZooKeeper {
    /// Starts one, and waits until it serves.
    ///
    /// # Errors
    ///
    /// If ZooKeeper is not installed or does not come up; the text then has the end of its log.
    pub fn start() -> Result<Self> {
        let started = Self { server: Server::new("zookeeper", "zookeeper and default-jre-headless", 1)? };
        started.run()?;
        Ok(started)
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
        self.server.forget()?;
        self.run()
    }

    /// Answers one of its words of four letters: `dump` tells the sessions and their nodes.
    ///
    /// # Errors
    ///
    /// If it does not answer.
    pub fn ask(&self, word: &str) -> Result<String> {
        let asked = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.server.ports.port(0)))?;
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
            self.server.data().display(),
            self.server.ports.port(0)
        );
        fs::write(&settings, text).map_err(|e| Failure::new(format!("cannot write {}: {e}", settings.display())))?;
        let mut command = java();
        // A test has no disk to protect.
        command.arg("-Dzookeeper.forceSync=no").arg("org.apache.zookeeper.server.quorum.QuorumPeerMain").arg(settings);
        self.server.launch(&mut command)?;
        self.server.until_serving(|| self.serves())
    }

    /// It says that it is well a moment before it takes sessions.
    fn serves(&self) -> bool {
        self.ask("srvr").is_ok_and(|said| said.contains("Mode: "))
    }
}

impl Deref for ZooKeeper {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

fn java() -> Command {
    let mut command = Command::new("java");
    // Small, and quick to start: many of them run beside each other.
    command.args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", JAR]);
    command
}
