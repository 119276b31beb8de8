//! A second process: this very test program, started again, which registers a node and waits to be killed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use micro_core::registry::{Node, Registry, Service};
use micro_registry_embedded::Embedded;

/// Longer than anything takes on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

const FOLDER: &str = "MICRO_TEST_FOLDER";
const NODE: &str = "MICRO_TEST_NODE";

/// The other process. It is killed when it is dropped, as the kernel kills: it deregisters nothing.
pub(crate) struct Program(Child);

impl Program {
    /// Starts a process that registers a node of `greeter` for ten minutes, and returns when it has.
    pub(crate) fn register(folder: &Path, node: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "program::role", "--nocapture"])
            .env(FOLDER, folder)
            .env(NODE, node)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line.ends_with("@registered")));
        Self(child)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The role of the second process; nothing in the first one.
#[expect(clippy::print_stdout, reason = "the second process answers by its output")]
#[test]
fn role() {
    let (Some(folder), Ok(node)) = (std::env::var_os(FOLDER), std::env::var(NODE)) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let registry = Embedded::at(Path::new(&folder));
    let service = Service::new("greeter", "latest").node(Node::new(node, "127.0.0.1:1"));
    runtime.block_on(registry.register(&service, Duration::from_secs(600))).unwrap();
    println!("@registered");
    let _ = std::io::stdin().lines().count();
}
