//! A real etcd of a test's own, on free ports, with its data in a temporary folder.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::ops::Deref;
use std::process::Command;
use std::time::Duration;

use crate::server::Server;
use crate::{Failure, Result};

const ASKED: Duration = Duration::from_secs(2);

/// One [`Server`].
///
/// It is the program `etcd` of the Debian package etcd-server, and `etcdctl` of etcd-client.
#[derive(Debug)]
pub struct Etcd {
    server: Server,
    security: Security,
    /// Its name in a cluster, and the whole of that, as etcd reads it.
    name: String,
    cluster: String,
}

/// What it asks of who comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Security {
    Plain,
    Tls,
    Certificates,
}

impl Etcd {
    /// Starts one without TLS, and waits until it serves.
    ///
    /// # Errors
    ///
    /// If etcd is not installed or does not come up; the text then has the end of its log.
    pub fn start() -> Result<Self> {
        Self::single(Security::Plain)
    }

    /// Starts one that speaks only TLS, with a certificate for 127.0.0.1 and localhost.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start), and if the certificates cannot be written.
    pub fn start_secure() -> Result<Self> {
        Self::single(Security::Tls)
    }

    /// As [`start_secure`](Self::start_secure), for clients that have a certificate of the same authority:
    /// [`client_certificate`](Server::client_certificate) is one.
    ///
    /// # Errors
    ///
    /// As [`start_secure`](Self::start_secure).
    pub fn start_asking_for_certificates() -> Result<Self> {
        Self::single(Security::Certificates)
    }

    /// Starts this many without TLS that are one cluster, and waits until all serve.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_cluster(members: usize) -> Result<Vec<Self>> {
        let members = (0..members).map(|place| Self::new(Security::Plain, format!("member-{place}")));
        let mut members = members.collect::<Result<Vec<_>>>()?;
        let all: Vec<String> = members.iter().map(|member| member.cluster.clone()).collect();
        for member in &mut members {
            member.cluster = all.join(",");
            // None serves before there are most of them.
            member.server.launch(&mut member.command())?;
        }
        for member in &members {
            member.server.until_serving(|| member.is_healthy())?;
        }
        Ok(members)
    }

    fn single(security: Security) -> Result<Self> {
        let etcd = Self::new(security, "default".to_owned())?;
        if security != Security::Plain {
            etcd.server.make_certificates()?;
        }
        etcd.run()?;
        Ok(etcd)
    }

    fn new(security: Security, name: String) -> Result<Self> {
        let server = Server::new("etcd", "etcd-server", 3)?;
        let cluster = format!("{name}=http://127.0.0.1:{}", server.ports.port(1));
        Ok(Self { server, security, name, cluster })
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

    /// Returns how many calls of a gRPC method (`LeaseKeepAlive`) were begun, and how many of them have ended.
    ///
    /// # Errors
    ///
    /// If it does not tell.
    pub fn calls(&self, method: &str) -> Result<(u64, u64)> {
        let told = self.asked("/metrics");
        let told =
            told.map_err(|e| Failure::new(format!("etcd at {} does not tell its metrics: {e}", self.address())))?;
        let label = format!("grpc_method=\"{method}\"");
        let sum = |metric: &str| {
            let lines = told.lines().filter(|line| line.starts_with(metric) && line.contains(&label));
            lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
        };
        Ok((sum("grpc_server_started_total{"), sum("grpc_server_handled_total{")))
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
        if self.security != Security::Plain {
            command.arg("--cacert").arg(self.ca());
        }
        if self.security == Security::Certificates {
            let (certificate, key) = self.client_certificate();
            command.arg("--cert").arg(certificate).arg("--key").arg(key);
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
        self.server.launch(&mut self.command())?;
        self.server.until_serving(|| self.is_healthy())
    }

    fn command(&self) -> Command {
        let url = |scheme: &str, place| format!("{scheme}://127.0.0.1:{}", self.server.ports.port(place));
        let (clients, peers) = (url(self.scheme(), 0), url("http", 1));
        let mut command = Command::new("etcd");
        command.args(["--name", &self.name]).arg("--data-dir").arg(self.server.data());
        command.args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
        command.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
        command.args(["--initial-cluster", &self.cluster, "--listen-metrics-urls", &url("http", 2)]);
        if self.security != Security::Plain {
            command.arg("--cert-file").arg(self.folder().join("server.pem"));
            command.arg("--key-file").arg(self.folder().join("server.key"));
        }
        if self.security == Security::Certificates {
            command.arg("--client-cert-auth").arg("--trusted-ca-file").arg(self.ca());
        }
        command
    }

    /// Tells whether it has a leader and takes writes, as it says itself.
    fn is_healthy(&self) -> bool {
        self.asked("/health").is_ok_and(|answer| answer.contains("200 OK") && answer.contains("true"))
    }

    fn asked(&self, path: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.server.ports.port(2)))?;
        stream.set_read_timeout(Some(ASKED))?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    fn scheme(&self) -> &'static str {
        if self.security == Security::Plain { "http" } else { "https" }
    }
}

impl Deref for Etcd {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}
