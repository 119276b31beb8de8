//! A real Consul: one agent that is its own server, on 127.0.0.1.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::{Authority, Failure, Ports, Process, Result, wait};

/// The program itself, ready.
const PROGRAM: &str = "MICRO_CONSUL";
const CACHE: &str = "MICRO_CACHE";
/// The version that `cargo xtask fetch consul` builds.
const VERSION: &str = "1.22.0";

const START: Duration = Duration::from_secs(60);
const ANSWER: Duration = Duration::from_secs(2);

/// Who may do everything, where tokens are asked for.
const TOKEN: &str = "5f2c7a3e-6f0d-4d53-9f0a-0c8d5f6f7b11";

/// A Consul agent of a test's own, with all of its data in memory: started again, it has forgotten everything.
///
/// It is killed when this is dropped.
#[derive(Debug)]
pub struct Consul {
    folder: TempDir,
    ports: Ports,
    process: Process,
    setup: Setup,
}

/// What it asks of who comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Setup {
    Nothing,
    Tokens,
    Certificates,
}

impl Consul {
    /// Starts one that asks for no token.
    ///
    /// # Errors
    ///
    /// If the program is not there or does not serve in time; the text says what to do.
    pub fn start() -> Result<Self> {
        Self::with(Setup::Nothing)
    }

    /// Starts one that does nothing without a token; [`token`](Self::token) may do everything.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_with_tokens() -> Result<Self> {
        Self::with(Setup::Tokens)
    }

    /// Starts one that speaks TLS too, at [`tls_address`](Self::tls_address), with who has a certificate of its own
    /// authority; the files are in [`certificates`](Self::certificates).
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_with_tls() -> Result<Self> {
        Self::with(Setup::Certificates)
    }

    fn with(setup: Setup) -> Result<Self> {
        let folder = tempfile::tempdir().map_err(|error| Failure::new(format!("no folder for Consul: {error}")))?;
        let ports = Ports::take(5)?;
        if setup == Setup::Certificates {
            make_certificates(folder.path())?;
        }
        let process = launch(folder.path(), &ports, setup)?;
        let mut consul = Self { folder, ports, process, setup };
        consul.until_serving()?;
        Ok(consul)
    }

    /// Returns `host:port` of its HTTP API.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.port(0))
    }

    /// Returns `host:port` of its HTTP API over TLS, where it speaks that.
    #[must_use]
    pub fn tls_address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.port(4))
    }

    /// Returns the folder with `ca.pem`, `client.pem` and `client.key`, and `other-ca.pem` of an authority that signed nothing
    /// here.
    #[must_use]
    pub fn certificates(&self) -> &Path {
        self.folder.path()
    }

    /// Returns `host:port` of its DNS, over UDP and TCP; an answer that is cut short says so.
    #[must_use]
    pub fn dns(&self) -> String {
        format!("{UDP}:{}", self.ports.port(3))
    }

    /// Returns the token that may do everything.
    #[must_use]
    pub fn token(&self) -> &'static str {
        TOKEN
    }

    /// Ends it without warning.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again after it was killed, at the same address and with nothing of what it knew.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn restart(&mut self) -> Result<()> {
        self.process.kill();
        self.process = launch(self.folder.path(), &self.ports, self.setup)?;
        self.until_serving()
    }

    /// Freezes it: connections stay open and nothing is answered.
    pub fn pause(&mut self) {
        self.process.pause();
    }

    /// Lets it go on after a pause.
    pub fn resume(&mut self) {
        self.process.resume();
    }

    /// It serves when it has elected itself and may be asked with the token.
    fn until_serving(&mut self) -> Result<()> {
        let port = self.ports.port(0);
        let served = wait::until(START, || {
            if !self.process.is_running() {
                return Some(false);
            }
            let led = get(port, "/v1/status/leader").is_some_and(|answer| answer.contains("127.0.0.1:"));
            let known = self.setup != Setup::Tokens || get(port, "/v1/acl/token/self").is_some();
            // What it says of itself comes a moment after the election.
            let itself = || get(port, "/v1/catalog/service/consul").is_some_and(|answer| answer.contains("ServiceID"));
            (led && known && itself()).then_some(true)
        });
        match served {
            Some(true) => Ok(()),
            _ => Err(self.process.tell(&format!("it does not serve 127.0.0.1:{port} within {} s", START.as_secs()))),
        }
    }
}

/// Finds the program: `MICRO_CONSUL`, the PATH, or the cache where `cargo xtask fetch consul` puts it.
///
/// # Errors
///
/// If it is nowhere.
pub fn consul_program() -> Result<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(program) = variable(PROGRAM) {
        return Ok(program);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&path).map(|folder| folder.join("consul"));
    if let Some(program) = found.find(|program| program.is_file()) {
        return Ok(program);
    }
    let place = consul_place()?;
    if place.is_file() {
        return Ok(place);
    }
    Err(Failure::new(format!(
        "looked for consul in {PROGRAM}, on the PATH and at {}; run `cargo xtask fetch consul`, which builds it",
        place.display()
    )))
}

/// Returns where the cache has the version that tests use, whether it is there or not.
///
/// # Errors
///
/// If neither `MICRO_CACHE` nor `HOME` is set.
pub fn consul_place() -> Result<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = variable(CACHE).or_else(|| Some(variable("HOME")?.join(".cache/micro-rs")));
    let cache = cache.ok_or_else(|| Failure::new(format!("neither {CACHE} nor HOME is set: where is Consul kept?")))?;
    Ok(cache.join(format!("consul-{VERSION}")).join("consul"))
}

fn make_certificates(folder: &Path) -> Result<()> {
    let authority = Authority::in_folder(folder, "ca")?;
    authority.sign("server", &["127.0.0.1", "localhost"])?;
    authority.sign("client", &["localhost"])?;
    Authority::in_folder(folder, "other-ca").map(drop)
}

fn launch(folder: &Path, ports: &Ports, setup: Setup) -> Result<Process> {
    let program = consul_program()?;
    let config = folder.join("consul.json");
    fs::write(&config, settings(folder, ports, setup))
        .map_err(|error| Failure::new(format!("cannot write {}: {error}", config.display())))?;
    let mut command = Command::new(program);
    command.args(["agent", "-dev", "-log-level", "warn", "-node", "machine"]).arg("-config-file").arg(&config);
    // A token of the user's own is nothing for a test's server.
    command.env_remove("CONSUL_HTTP_TOKEN").current_dir(folder);
    Process::start("consul", &mut command, &folder.join("consul.log"))
}

/// What is spoken over UDP lies on another address of this machine: on 127.0.0.1 the socket that claims a port is in the way.
const UDP: &str = "127.0.0.2";

fn settings(folder: &Path, ports: &Ports, setup: Setup) -> String {
    let (more, https) = match setup {
        Setup::Nothing => (String::new(), -1),
        Setup::Tokens => {
            let tokens = format!(r#"{{"initial_management":"{TOKEN}","agent":"{TOKEN}"}}"#);
            (format!(r#","acl":{{"enabled":true,"default_policy":"deny","tokens":{tokens}}}"#), -1)
        }
        Setup::Certificates => {
            let file = |name: &str| folder.join(name).display().to_string();
            let more = format!(
                r#","tls":{{"https":{{"ca_file":"{}","cert_file":"{}","key_file":"{}","verify_incoming":true}}}}"#,
                file("ca.pem"),
                file("server.pem"),
                file("server.key"),
            );
            (more, i32::from(ports.port(4)))
        }
    };
    format!(
        r#"{{"bind_addr":"127.0.0.1","client_addr":"127.0.0.1","disable_update_check":true,"ui_config":{{"enabled":false}},
"serf_lan":"{UDP}","addresses":{{"dns":"{UDP}"}},"dns_config":{{"enable_truncate":true}},"limits":{{"http_max_conns_per_client":1000}},"connect":{{"enabled":false}},
"ports":{{"http":{},"server":{},"serf_lan":{},"serf_wan":-1,"dns":{},"grpc":-1,"grpc_tls":-1,"https":{https}}}{more}}}"#,
        ports.port(0),
        ports.port(1),
        ports.port(2),
        ports.port(3),
    )
}

/// The body of an answer with 200; the token does no harm where none is asked for.
fn get(port: u16, path: &str) -> Option<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, ANSWER).ok()?;
    stream.set_read_timeout(Some(ANSWER)).ok()?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: consul\r\nX-Consul-Token: {TOKEN}\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.take(1 << 20).read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.lines().next()?.contains(" 200 ").then(|| body.to_owned())
}
