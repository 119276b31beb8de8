use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use super::certificates::Certificates;
use super::distribution::Distribution;
use super::node::Node;
use super::properties::{self, LISTENERS, Listener};
use super::setup::Setup;
use super::shared;
use crate::{Failure, Ports, Result};

/// Generous: other tests may start servers at the same time.
const READY: Duration = Duration::from_secs(90);

/// A cluster of a test's own, on free ports, with its data in a temporary folder. Dropped, it is killed and removed.
///
/// Nodes are counted from 1. What is done to a node can be done from several threads.
#[derive(Debug)]
pub struct Kafka {
    // Before the folder: the servers end before their files go.
    nodes: Vec<Node>,
    distribution: Distribution,
    setup: Setup,
    ports: Ports,
    certificates: Option<Certificates>,
    folder: TempDir,
}

impl Kafka {
    /// Starts a cluster of the distribution that [`Distribution::find`] finds, and waits until every node sees all.
    ///
    /// # Errors
    ///
    /// If Kafka or Java is not there, or the servers do not come up; the text then has the end of a server's log.
    pub fn start(setup: &Setup) -> Result<Self> {
        Self::start_from(&Distribution::find()?, setup)
    }

    /// Starts a cluster of a certain distribution.
    ///
    /// # Errors
    ///
    /// As [`Kafka::start`].
    pub fn start_from(distribution: &Distribution, setup: &Setup) -> Result<Self> {
        let kafka = Self::prepare(distribution, setup)?;
        kafka.start_nodes(&[])?;
        for node in &kafka.nodes {
            node.wait_ready(setup.nodes, READY)?;
        }
        Ok(kafka)
    }

    /// Everything but the start.
    pub(super) fn prepare(distribution: &Distribution, setup: &Setup) -> Result<Self> {
        if setup.nodes == 0 || !(setup.advertise.is_empty() || setup.advertise.len() == setup.nodes) {
            return Err(Failure::new(format!(
                "asked for {} nodes and {} advertised addresses; a cluster has one node at least, and an address for \
                 each or for none",
                setup.nodes,
                setup.advertise.len()
            )));
        }
        let folder = tempfile::Builder::new().prefix("micro-kafka-").tempdir();
        let folder = folder.map_err(|e| Failure::new(format!("cannot make a temporary folder for Kafka: {e}")))?;
        let ports = Ports::take(setup.nodes * LISTENERS)?;
        let certificates = setup.secure.then(|| Certificates::in_folder(folder.path()));
        let port = |node, listener| port(&ports, node, listener);
        let mut nodes = Vec::new();
        for number in 1..=setup.nodes {
            let own = folder.path().join(format!("node-{number}"));
            fs::create_dir(&own).map_err(|e| Failure::new(format!("cannot make {}: {e}", own.display())))?;
            properties::write(&own, number, setup, &port, certificates.as_ref())?;
            nodes.push(Node::new(number, own, port(number, Listener::Plain)));
        }
        thread::scope(|scope| {
            let mut works: Vec<_> =
                nodes.iter().map(|node| scope.spawn(|| node.format(distribution, setup.secure))).collect();
            works.extend(certificates.as_ref().map(|certificates| scope.spawn(|| certificates.make())));
            works.into_iter().try_for_each(|work| {
                work.join().unwrap_or_else(|_| Err(Failure::new("the preparation of a Kafka node panicked")))
            })
        })?;
        Ok(Self { nodes, distribution: distribution.clone(), setup: setup.clone(), ports, certificates, folder })
    }

    /// Starts every node, with these arguments for Java besides, and waits for none.
    pub(super) fn start_nodes(&self, arguments: &[&str]) -> Result<()> {
        for node in &self.nodes {
            let mut java = self.java(node);
            java.args(arguments);
            node.start(java)?;
        }
        Ok(())
    }

    /// Returns the addresses of the plain listeners, `127.0.0.1:10092,…`; where another is advertised, that one.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        if self.setup.advertise.is_empty() { self.addresses(Listener::Plain) } else { self.setup.advertise.join(",") }
    }

    /// Returns the address on which a node itself listens, whatever is advertised.
    ///
    /// # Panics
    ///
    /// If there is no node of this number.
    #[must_use]
    pub fn address(&self, node: usize) -> String {
        format!("127.0.0.1:{}", self.node(node).port())
    }

    /// Returns the addresses of the listeners with TLS.
    ///
    /// # Panics
    ///
    /// If the cluster is not secure, as for all of these.
    #[must_use]
    pub fn ssl(&self) -> String {
        self.secure(Listener::Ssl)
    }

    /// Returns the addresses of the listeners with TLS and a login.
    #[must_use]
    pub fn sasl_ssl(&self) -> String {
        self.secure(Listener::SaslSsl)
    }

    /// Returns the addresses of the listeners with a login and no TLS.
    #[must_use]
    pub fn sasl_plaintext(&self) -> String {
        self.secure(Listener::SaslPlain)
    }

    /// Returns the PEM file of the authority that signed the servers' certificate.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.certificates().authority()
    }

    /// Returns the PEM file of an authority that signed nothing here.
    #[must_use]
    pub fn other_ca(&self) -> PathBuf {
        self.certificates().other_authority()
    }

    /// Returns the variables that make this cluster the [`shared`](super::shared()) one of other processes.
    #[must_use]
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![(shared::PLAIN, self.bootstrap())];
        if self.setup.secure {
            variables.extend([
                (shared::SSL, self.ssl()),
                (shared::SASL_SSL, self.sasl_ssl()),
                (shared::SASL_PLAINTEXT, self.sasl_plaintext()),
                (shared::CA, self.ca().display().to_string()),
                (shared::OTHER_CA, self.other_ca().display().to_string()),
            ]);
        }
        variables
    }

    /// Returns the folder of all logs and data.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends a node without warning.
    ///
    /// # Panics
    ///
    /// If there is no node of this number, as for all that follow.
    pub fn kill(&self, node: usize) {
        self.node(node).kill();
    }

    /// Asks a node to hand over its work and end, and waits for it.
    ///
    /// # Errors
    ///
    /// If it did not end by itself; then it was killed.
    pub fn stop(&self, node: usize) -> Result<()> {
        self.node(node).stop()
    }

    /// Freezes a node: its connections stay open, and nothing is answered.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn pause(&self, node: usize) -> Result<()> {
        self.node(node).pause()
    }

    /// Lets a paused node go on.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn resume(&self, node: usize) -> Result<()> {
        self.node(node).resume()
    }

    /// Starts a node again on its ports and its data, and waits until it serves. One that runs is stopped first.
    ///
    /// # Errors
    ///
    /// If it does not stop or does not come up.
    pub fn restart(&self, node: usize) -> Result<()> {
        let node = self.node(node);
        node.stop()?;
        node.start(self.java(node))?;
        node.wait_ready(1, READY)
    }

    /// Waits until a node serves and is one of the live ones in its own eyes.
    ///
    /// # Errors
    ///
    /// If it does not in time, or ends meanwhile.
    pub fn wait_ready(&self, node: usize, limit: Duration) -> Result<()> {
        self.node(node).wait_ready(1, limit)
    }

    /// Tells whether a node's process has not ended.
    #[must_use]
    pub fn is_running(&self, node: usize) -> bool {
        self.node(node).is_running()
    }

    /// Returns the process id of a node, for whoever measures what it uses; `None` while it does not run.
    #[must_use]
    pub fn process_id(&self, node: usize) -> Option<u32> {
        self.node(node).process_id()
    }

    fn java(&self, node: &Node) -> Command {
        let mut java = self.distribution.java(node.folder());
        java.args(["-Xms128m", if self.setup.nodes > 1 { "-Xmx384m" } else { "-Xmx512m" }]);
        java
    }

    fn node(&self, node: usize) -> &Node {
        let found = node.checked_sub(1).and_then(|place| self.nodes.get(place));
        found.unwrap_or_else(|| panic!("there is no node {node}; nodes are 1 to {}", self.nodes.len()))
    }

    fn secure(&self, listener: Listener) -> String {
        let _ = self.certificates();
        self.addresses(listener)
    }

    fn certificates(&self) -> &Certificates {
        self.certificates.as_ref().expect("the cluster was set up with Setup::secure")
    }

    fn addresses(&self, listener: Listener) -> String {
        let addresses = (1..=self.nodes.len()).map(|node| format!("127.0.0.1:{}", port(&self.ports, node, listener)));
        addresses.collect::<Vec<_>>().join(",")
    }
}

fn port(ports: &Ports, node: usize, listener: Listener) -> u16 {
    ports.port((node - 1) * LISTENERS + listener as usize)
}
