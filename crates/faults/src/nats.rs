//! A real NATS server of a test's own, on a free port.

use std::fs;
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::server::Server;
use crate::{Authority, Failure, Result};

const ASKED: Duration = Duration::from_secs(2);

/// One server, without JetStream: what is not delivered at once is lost. Dropped, it is killed. What is done to it can be done
/// from several threads.
///
/// It is the program `nats-server` of the Debian package of that name.
#[derive(Debug)]
pub struct Nats {
    server: Server,
}

impl Nats {
    /// Starts one that lets everybody in, and waits until it serves.
    ///
    /// # Errors
    ///
    /// If the server is not installed or does not come up; the text then has the end of its log.
    pub fn start() -> Result<Self> {
        Self::start_with("")
    }

    /// Starts one with these lines in its settings: `authorization { … }`.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_with(settings: &str) -> Result<Self> {
        let nats = Self { server: Server::new("nats", "nats-server", 1)? };
        nats.write(settings)?;
        nats.run()?;
        Ok(nats)
    }

    /// Starts one that speaks only TLS, with a certificate for 127.0.0.1 and localhost; with `ask` it asks for one of the same
    /// authority, as [`client_certificate`](Self::client_certificate) is.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start), and if the certificates cannot be written.
    pub fn start_secure(ask: bool) -> Result<Self> {
        let nats = Self { server: Server::new("nats", "nats-server", 1)? };
        let authority = Authority::in_folder(nats.folder(), "ca")?;
        authority.sign("server", &["127.0.0.1", "localhost"])?;
        authority.sign("client", &["localhost"])?;
        Authority::in_folder(nats.folder(), "other-ca")?;
        let file = |name: &str| nats.folder().join(name).display().to_string();
        nats.write(&format!(
            "tls {{ cert_file: \"{}\", key_file: \"{}\", ca_file: \"{}\", verify: {ask} }}",
            file("server.pem"),
            file("server.key"),
            file("ca.pem")
        ))?;
        nats.run()?;
        Ok(nats)
    }

    /// Returns where it serves clients, `127.0.0.1:<port>`; the same also after it was started again.
    #[must_use]
    pub fn address(&self) -> String {
        self.server.address()
    }

    /// Returns the folder of its log, its settings and its certificates.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.server.folder()
    }

    /// Returns the PEM file of the authority that signed the certificates of a [secure](Self::start_secure) server.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.folder().join("ca.pem")
    }

    /// Returns the PEM file of an authority that signed nothing here.
    #[must_use]
    pub fn other_ca(&self) -> PathBuf {
        self.folder().join("other-ca.pem")
    }

    /// Returns the PEM files of a certificate that the same authority signed for clients, and of its key.
    #[must_use]
    pub fn client_certificate(&self) -> (PathBuf, PathBuf) {
        (self.folder().join("client.pem"), self.folder().join("client.key"))
    }

    /// Ends it without warning.
    pub fn kill(&self) {
        self.server.kill();
    }

    /// Kills it if it runs, starts it again on its port, and waits until it serves. It remembers nothing.
    ///
    /// # Errors
    ///
    /// If it does not come up.
    pub fn restart(&self) -> Result<()> {
        self.kill();
        self.run()
    }

    /// Freezes it: its connections stay open, and nothing is answered.
    pub fn pause(&self) {
        self.server.pause();
    }

    /// Lets it go on after a pause.
    pub fn resume(&self) {
        self.server.resume();
    }

    fn settings(&self) -> PathBuf {
        self.folder().join("nats.conf")
    }

    fn write(&self, settings: &str) -> Result<()> {
        let file = self.settings();
        let text = format!("listen: \"{}\"\n{settings}\n", self.address());
        fs::write(&file, text).map_err(|e| Failure::new(format!("cannot write {}: {e}", file.display())))
    }

    fn run(&self) -> Result<()> {
        self.server.launch(Command::new("nats-server").arg("-c").arg(self.settings()))?;
        self.server.until_serving(|| self.greets())
    }

    /// It greets who comes with what it is.
    fn greets(&self) -> bool {
        let greeted = || -> std::io::Result<bool> {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.server.ports.port(0)));
            let mut stream = TcpStream::connect_timeout(&address, ASKED)?;
            stream.set_read_timeout(Some(ASKED))?;
            let mut greeting = [0; 5];
            stream.read_exact(&mut greeting)?;
            Ok(greeting == *b"INFO ")
        };
        greeted().unwrap_or_default()
    }
}
