use std::fmt;
use std::io::{BufRead, BufReader};
use std::process::{Child as Running, Command, Stdio};
use std::time::Duration;

use micro_core::registry::{Registry, Service};

use super::Process;

/// What another process is to register, as JSON, and for how many milliseconds.
const RECORD: &str = "MICRO_CONFORMANCE_RECORD";
const TTL: &str = "MICRO_CONFORMANCE_TTL";

const REGISTERED: &str = "@registered";

/// Another process: the running test program, started again with one test chosen, which calls [`stay_registered`].
///
/// It is killed when it is dropped.
pub struct Child {
    command: Command,
    running: Option<Running>,
}

impl Child {
    /// Creates one that is not started, of the test's full name (`conformance::other_process`) and of variables by which
    /// that test makes its client.
    ///
    /// # Panics
    ///
    /// If the running program has no path.
    pub fn new<'a>(test: &str, variables: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("a running test program has a path"));
        command.args(["--exact", test, "--nocapture"]).envs(variables);
        Self { command, running: None }
    }
}

impl Process for Child {
    fn start(&mut self, service: &Service, ttl: Duration) {
        let record = serde_json::to_string(service).expect("a record is JSON");
        let command = self.command.env(RECORD, record).env(TTL, ttl.as_millis().to_string());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the process starts");
        let output = child.stdout.take().expect("its output is a pipe");
        self.running = Some(child);
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.ends_with(REGISTERED)), "the process ended before it had registered");
        // It must not be stopped by a pipe that nobody reads.
        std::thread::spawn(move || lines.for_each(drop));
    }

    fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.kill().expect("the process can be killed");
            running.wait().expect("the process ends");
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.kill();
            let _ = running.wait();
        }
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child").field("running", &self.running.as_ref().map(Running::id)).finish_non_exhaustive()
    }
}

/// The other side of a [`Child`]: registers what it is told to, again and again until it is killed, or the process that
/// started it ended. Does nothing in a process that is nobody's child.
///
/// # Panics
///
/// If it cannot register at first, or what it is told makes no sense.
pub fn stay_registered(client: impl FnOnce() -> Box<dyn Registry>) {
    let (Ok(record), Ok(ttl)) = (std::env::var(RECORD), std::env::var(TTL)) else { return };
    let service: Service = serde_json::from_str(&record).expect("a record in the environment");
    let ttl = Duration::from_millis(ttl.parse().expect("milliseconds in the environment"));
    let registry = client();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(registry.register(&service, ttl)).expect("it can register");
    #[expect(clippy::print_stdout, reason = "the process answers by its output")]
    {
        println!("{REGISTERED}");
    }
    runtime.block_on(async {
        let ended = tokio::task::spawn_blocking(|| std::io::stdin().lines().count());
        let beats = async {
            loop {
                tokio::time::sleep(ttl / 5).await;
                // One that fails is made good by the next.
                let _ = registry.register(&service, ttl).await;
            }
        };
        tokio::select! {
            _ = ended => {}
            () = beats => {}
        }
    });
}
