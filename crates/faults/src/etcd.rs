//! A real etcd of a test's own, on free ports, with its data in a temporary folder.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tempfile::TempDir;

use crate::{Authority, Failure, Ports, Process, Result, wait};

/// Generous: other tests may start servers at the same time.
const READY: Duration = Duration::from_secs(60);
const ASKED: Duration = Duration::from_secs(2);

/// One server. Dropped, it is killed and its data removed. What is done to it can be done from several threads.
///
/// It is the program `etcd` of the Debian package etcd-server, and `etcdctl` of etcd-client.
#[derive(Debug)]
pub struct Etcd {
    // Before the folder: the server ends before its files go.
    process: Mutex<Option<Process>>,
    ports: Ports,
    secure: bool,
    folder: TempDir,
}

impl Etcd {
    /// Starts one without TLS, and waits until it serves.
    ///
    /// # Errors
    ///
    /// If etcd is not installed or does not come up; the text then has the end of its log.
    pub fn start() -> Result<Self> {
        Self::begin(false)
    }

    /// Starts one that speaks only TLS, with a certificate for 127.0.0.1 and localhost.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start), and if the certificates cannot be written.
    pub fn start_secure() -> Result<Self> {
        Self::begin(true)
    }

    fn begin(secure: bool) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("micro-etcd-").tempdir();
        let folder = folder.map_err(|e| Failure::new(format!("cannot make a temporary folder for etcd: {e}")))?;
        let etcd = Self { process: Mutex::default(), ports: Ports::take(3)?, secure, folder };
        if secure {
            etcd.make_certificates()?;
        }
        etcd.run()?;
        Ok(etcd)
    }

    /// Returns where it serves clients, `127.0.0.1:<port>`; the same also after it was started again.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.port(0))
    }

    /// Returns the folder of its log, its data and its certificates.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the PEM file of the authority that signed the certificate of a [secure](Self::start_secure) server.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.folder().join("ca.pem")
    }

    /// Returns the PEM file of an authority that signed nothing here.
    #[must_use]
    pub fn other_ca(&self) -> PathBuf {
        self.folder().join("other-ca.pem")
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

    /// Asks for accounts from now on: root, who may do everything, alice, who may read and write below a prefix, and bob, who
    /// may do nothing. The password of each is the name and `-secret`.
    ///
    /// # Errors
    ///
    /// If a command fails.
    pub fn ask_for_accounts(&self, prefix: &str) -> Result<()> {
        for user in ["root", "alice", "bob"] {
            self.ctl(&["user", "add", &format!("{user}:{user}-secret")])?;
        }
        self.ctl(&["user", "grant-role", "root", "root"])?;
        self.ctl(&["role", "add", "registry"])?;
        self.ctl(&["role", "grant-permission", "registry", "--prefix=true", "readwrite", prefix])?;
        self.ctl(&["user", "grant-role", "alice", "registry"])?;
        self.ctl(&["auth", "enable"]).map(drop)
    }

    /// Runs `etcdctl` on it, and returns what it prints.
    ///
    /// # Errors
    ///
    /// If it fails, with what it said.
    pub fn ctl(&self, arguments: &[&str]) -> Result<String> {
        let scheme = self.scheme();
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").arg(format!("--endpoints={scheme}://{}", self.address()));
        if self.secure {
            command.arg("--cacert").arg(self.ca());
        }
        let what = format!("etcdctl {}", arguments.first().copied().unwrap_or_default());
        let output = command.args(arguments).output();
        let output = output.map_err(|e| Failure::new(format!("cannot run {what}: {e}; install etcd-client")))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(Failure::new(format!("{what} on {} failed: {said}", self.address())));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn run(&self) -> Result<()> {
        let url = |scheme: &str, place| format!("{scheme}://127.0.0.1:{}", self.ports.port(place));
        let (clients, peers) = (url(self.scheme(), 0), url("http", 1));
        let mut command = Command::new("etcd");
        command.arg("--data-dir").arg(self.data());
        command.args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
        command.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
        command.args(["--initial-cluster", &format!("default={peers}"), "--listen-metrics-urls", &url("http", 2)]);
        if self.secure {
            command.arg("--cert-file").arg(self.folder().join("server.pem"));
            command.arg("--key-file").arg(self.folder().join("server.key"));
        }
        let process = Process::start("etcd", &mut command, &self.folder().join("etcd.log"))
            .map_err(|failure| Failure::new(format!("{failure}; install etcd-server")))?;
        *self.lock() = Some(process);
        let ready = || {
            let runs = self.lock().as_mut().is_some_and(Process::is_running);
            if runs { self.is_healthy().then_some(Ok(())) } else { Some(Err(())) }
        };
        let what = match wait::until(READY, ready) {
            Some(Ok(())) => return Ok(()),
            Some(Err(())) => "it ended before it was ready".to_owned(),
            None => format!("it did not serve on {} within {} s", self.address(), READY.as_secs()),
        };
        Err(self.lock().as_ref().map_or_else(|| Failure::new("etcd was never started"), |process| process.tell(&what)))
    }

    /// Tells whether it has a leader and takes writes, as it says itself.
    fn is_healthy(&self) -> bool {
        let asked = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.ports.port(2)))?;
            stream.set_read_timeout(Some(ASKED))?;
            stream.write_all(b"GET /health HTTP/1.0\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        asked().is_ok_and(|answer| answer.contains("200 OK") && answer.contains("true"))
    }

    fn make_certificates(&self) -> Result<()> {
        let authority = Authority::in_folder(self.folder(), "ca")?;
        authority.sign("server", &["127.0.0.1", "localhost"])?;
        Authority::in_folder(self.folder(), "other-ca").map(drop)
    }

    fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    fn data(&self) -> PathBuf {
        self.folder().join("data")
    }

    fn lock(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
