//! The Go peer as a process.

use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::OnceCell;
use tokio::time::timeout;

/// Generous: the machine may be building something else.
const LIMIT: Duration = Duration::from_secs(60);

/// A running Go process that prints JSON lines. Dropped, it is killed.
pub(crate) struct Peer {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// A running Go server.
pub(crate) struct GoServer {
    peer: Peer,
    /// Where it listens.
    pub(crate) address: String,
    /// Its id in the registry.
    pub(crate) node: String,
}

/// What one case of the Go client gave.
#[derive(Debug, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) case: String,
    #[serde(default)]
    pub(crate) response: Value,
    #[serde(default)]
    pub(crate) values: Vec<i64>,
    #[serde(default)]
    pub(crate) messages: Vec<String>,
    pub(crate) error: Option<GoError>,
    #[serde(default)]
    pub(crate) text: String,
    pub(crate) millis: u64,
}

/// go-micro's `errors.Error`, as the Go caller has it.
#[derive(Debug, Default, PartialEq, Deserialize)]
pub(crate) struct GoError {
    #[serde(default)]
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) code: i32,
    #[serde(default)]
    pub(crate) detail: String,
    #[serde(default)]
    pub(crate) status: String,
}

impl Peer {
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let mut process = Command::new(binary().await)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the Go peer starts");
        let output = process.stdout.take().expect("its output is piped");
        Self { process, lines: BufReader::new(output).lines() }
    }

    /// Waits for the next line; `None` if the process has closed its output.
    pub(crate) async fn line(&mut self) -> Option<Value> {
        timeout(LIMIT, self.line_at_any_time()).await.expect("the Go peer says something")
    }

    /// Waits for the next line as long as it takes: for a task that reads beside the test.
    pub(crate) async fn line_at_any_time(&mut self) -> Option<Value> {
        let line = self.lines.next_line().await.expect("it is read");
        line.map(|line| serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line:?}")))
    }

    pub(crate) fn pid(&self) -> String {
        self.process.id().expect("it runs").to_string()
    }

    /// Asks it to stop and waits until it has.
    pub(crate) async fn stop(mut self) {
        terminate(&self.pid()).await;
        timeout(LIMIT, self.process.wait()).await.expect("the Go peer stops").expect("it is waited for");
    }
}

/// Asks a process to stop.
pub(crate) async fn terminate(pid: &str) {
    assert!(Command::new("kill").args(["-TERM", pid]).status().await.expect("kill runs").success());
}

impl GoServer {
    /// Starts one and waits until it serves.
    pub(crate) async fn start(name: &str, registry: &str) -> Self {
        let mut peer = Peer::start(&["server", "-name", name, "-registry", registry]).await;
        let line = peer.line().await.expect("the Go server says where it listens");
        let text = |field: &str| line[field].as_str().unwrap_or_else(|| panic!("no {field} in {line}")).to_owned();
        Self { address: text("address"), node: text("node"), peer }
    }

    pub(crate) async fn stop(self) {
        self.peer.stop().await;
    }
}

/// Runs cases of the Go client.
pub(crate) async fn go_client(arguments: &[&str], cases: &[&str]) -> Vec<Outcome> {
    let mut peer = Peer::start(&[&["client"], arguments, cases].concat()).await;
    let mut outcomes = Vec::new();
    while let Some(line) = peer.line().await {
        outcomes.push(serde_json::from_value(line).expect("an outcome"));
    }
    let status = timeout(LIMIT, peer.process.wait()).await.expect("the Go client ends").expect("it is waited for");
    assert!(status.success(), "the Go client died ({status}) after {outcomes:?}");
    assert_eq!(outcomes.len(), cases.len());
    outcomes
}

/// Returns the peer's path: `MICRO_GO_PEER`, else what build.sh builds.
async fn binary() -> &'static str {
    static BINARY: OnceCell<String> = OnceCell::const_new();
    BINARY
        .get_or_init(async || {
            if let Some(path) = std::env::var("MICRO_GO_PEER").ok().filter(|path| !path.is_empty()) {
                return path;
            }
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/build.sh");
            let built = Command::new(script).output().await.expect("interop/build.sh runs");
            assert!(
                built.status.success(),
                "the Go peer is missing and cannot be built; run {script} or set MICRO_GO_PEER:\n{}",
                String::from_utf8_lossy(&built.stderr)
            );
            String::from_utf8_lossy(&built.stdout).trim().to_owned()
        })
        .await
}
