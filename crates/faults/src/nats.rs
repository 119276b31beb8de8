//! A real NATS server of a test's own, on a free port.

use std::fs;
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::ops::Deref;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::server::Server;
use crate::{Failure, Result};

const ASKED: Duration = Duration::from_secs(2);

/// One [`Server`], without JetStream: what is not delivered at once is lost.
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
    /// authority, as [`client_certificate`](Server::client_certificate) is.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start), and if the certificates cannot be written.
    pub fn start_secure(ask: bool) -> Result<Self> {
        let nats = Self { server: Server::new("nats", "nats-server", 1)? };
        nats.server.make_certificates()?;
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

    /// Kills it if it runs, starts it again on its port, and waits until it serves. It remembers nothing.
    ///
    /// # Errors
    ///
    /// If it does not come up.
    pub fn restart(&self) -> Result<()> {
        self.kill();
        self.run()
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

impl Deref for Nats {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}
