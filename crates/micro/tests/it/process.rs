//! What only a process of its own shows: signals, log lines, exit codes.

use std::process::{Output, Stdio};
use std::time::Duration;

use bytes::Bytes;
use micro::prelude::*;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use crate::support::{LIMIT, unique};

/// How long the endpoint `Echo.Nap` takes to tell the id of its process.
pub(crate) const NAP: Duration = Duration::from_millis(20);

/// The program that the tests below run: this test binary, with this one test chosen and its output left alone. Its
/// command line has no flags, so that settings come by the environment.
#[test]
fn program() {
    let Ok(name) = std::env::var("MICRO_TEST_PROGRAM") else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let done = runtime.block_on(async {
        let mut service = Service::builder(&name).address("127.0.0.1:0").build()?;
        service.handle(Endpoint::unary("Echo.Say", |_: Context, body: Bytes| async move { Ok(body) }));
        service.handle(Endpoint::unary("Echo.Nap", |_: Context, _: Bytes| async move {
            tokio::time::sleep(NAP).await;
            Ok(Bytes::from(std::process::id().to_string()))
        }));
        service.handle(Endpoint::unary("Echo.Hang", |_: Context, body: Bytes| async move {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            Ok(body)
        }));
        service.handle(Endpoint::unary("Echo.Clock", |_: Context, _: Bytes| async {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
            Ok(Bytes::from(now.as_secs().to_string()))
        }));
        if let Ok(other) = std::env::var("MICRO_TEST_CALLS") {
            crate::caller::call_always(&mut service, other);
        }
        service.subscribe(raw_subscriber("greet.said", |_: Context, _: micro::broker::Message| async { Ok(()) }));
        match std::env::var("MICRO_TEST_SECOND") {
            Ok(second) => micro::run_all([service, Service::builder(&second).address("127.0.0.1:0").build()?]).await,
            Err(_) => service.run().await,
        }
    });
    if let Err(error) = done {
        eprintln!("failed: {error}");
        std::process::exit(1);
    }
    std::process::exit(0);
}

pub(crate) struct Program {
    pub(crate) child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    pub(crate) seen: Vec<String>,
}

fn command(name: &str, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .arg("process::program")
        .env("RUST_TEST_NOCAPTURE", "1")
        .env("MICRO_TEST_PROGRAM", name)
        .env("MICRO_BROKER", "memory")
        .env("MICRO_REGISTRY", "memory")
        .envs(settings.iter().copied())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

impl Program {
    pub(crate) fn start(name: &str, settings: &[(&str, &str)]) -> Self {
        let mut child = command(name, settings).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, lines, seen: Vec::new() }
    }

    /// Reads lines until one has this text, and returns it.
    pub(crate) async fn line(&mut self, text: &str) -> String {
        self.line_within(LIMIT, text).await
    }

    pub(crate) async fn line_within(&mut self, limit: Duration, text: &str) -> String {
        let read = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                self.seen.push(line.clone());
                if line.contains(text) {
                    return line;
                }
            }
            panic!("it ended without {text:?}: {:#?}", self.seen);
        };
        match tokio::time::timeout(limit, read).await {
            Ok(line) => line,
            Err(_) => panic!("waited {limit:?} in vain for {text:?}: {:#?}", self.seen),
        }
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.child.id().unwrap().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Reads to the end and returns every line and the exit code.
    pub(crate) async fn end(mut self) -> (Vec<String>, Option<i32>) {
        let read = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                self.seen.push(line);
            }
            self.child.wait().await.unwrap()
        };
        let status = tokio::time::timeout(LIMIT, read).await.expect("it ends");
        (self.seen, status.code())
    }
}

/// Takes the time and the place off a log line, and ids and ports.
fn plain(line: &str) -> Option<String> {
    let (time, rest) = line.split_at_checked(19)?;
    chrono::NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M:%S").ok()?;
    let rest = rest.strip_prefix("  file=")?;
    let (place, text) = rest.split_once(' ')?;
    assert!(place.split_once(".rs:").is_some_and(|(_, line)| line.parse::<u32>().is_ok()), "{line}");
    Some(text.to_owned())
}

// features: A4, A6, M1
#[tokio::test]
async fn the_lines_of_start_and_stop_are_go_micros() {
    let name = unique("greeter");
    let mut program = Program::start(&name, &[("MICRO_SERVER_ID", "1")]);
    program.line("Registering node").await;
    program.signal(rustix::process::Signal::TERM);
    let (lines, code) = program.end().await;
    let mut lines: Vec<_> = lines.iter().filter_map(|line| plain(line)).collect();
    let bound = lines[1].rsplit(':').next().unwrap().to_owned();
    lines[1] = lines[1].replace(&bound, "PORT");
    assert_eq!(
        lines,
        [
            &*format!("level=info Starting [service] {name}"),
            "level=info Server [grpc] Listening on 127.0.0.1:PORT",
            "level=info Broker [memory] Connected to memory://default",
            "level=info Subscribing to topic: greet.said",
            &*format!("level=info Registry [memory] Registering node: {name}-1"),
            &*format!("level=info Deregistering node: {name}-1"),
            "level=info Unsubscribing from topic: greet.said",
            "level=info Broker [memory] Disconnected from memory://default",
        ]
    );
    assert_eq!(code, Some(0));
}

// features: A6
#[tokio::test]
async fn each_of_the_three_signals_stops_a_service() {
    for signal in [rustix::process::Signal::INT, rustix::process::Signal::TERM, rustix::process::Signal::QUIT] {
        let mut program = Program::start(&unique("greeter"), &[]);
        program.line("Registering node").await;
        program.signal(signal);
        program.line("Deregistering node").await;
        assert_eq!(program.end().await.1, Some(0), "{signal:?}");
    }
}

// features: A8
#[tokio::test]
async fn several_services_of_a_program_stop_in_the_opposite_order_of_their_start() {
    let (first, second) = (unique("first"), unique("second"));
    let mut program = Program::start(&first, &[("MICRO_TEST_SECOND", &second)]);
    program.line(&format!("Registering node: {first}")).await;
    program.line(&format!("Registering node: {second}")).await;
    program.signal(rustix::process::Signal::TERM);
    program.line(&format!("Deregistering node: {second}")).await;
    program.line(&format!("Deregistering node: {first}")).await;
    assert_eq!(program.end().await.1, Some(0));
}

// features: A7
#[tokio::test]
async fn a_second_signal_does_not_wait_for_handlers() {
    let name = unique("greeter");
    let mut program = Program::start(&name, &[("MICRO_DRAIN", "1h")]);
    let line = program.line("Listening on").await;
    program.line("Registering node").await;
    let address = line.rsplit(' ').next().unwrap().to_owned();
    let client = crate::support::service(&unique("client")).build().unwrap().client();
    let call = tokio::spawn(async move {
        let body = Bytes::new();
        client.call::<Bytes, Bytes>(&name, "Echo.Hang", &body).address(address.as_str()).timeout(LIMIT).retries(0).await
    });
    // Asked on another way than the call's, so that the call is surely in flight.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!call.is_finished());
    program.signal(rustix::process::Signal::TERM);
    program.line("Unsubscribing").await;
    program.signal(rustix::process::Signal::TERM);
    let (lines, code) = program.end().await;
    assert_eq!(code, Some(1));
    assert!(lines.iter().any(|line| line.contains("failed: a second signal, SIGTERM, ended the stop")), "{lines:#?}");
    assert!(call.await.unwrap().is_err());
}

// features: M1
#[tokio::test]
async fn lines_are_json_and_of_the_level_that_the_environment_says() {
    let mut program = Program::start(&unique("greeter"), &[("MICRO_LOG_FORMAT", "json"), ("MICRO_LOG_LEVEL", "debug")]);
    let line = program.line("Settings of").await;
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["level"], "debug");
    assert!(value["message"].as_str().unwrap().contains("log_format=json (environment)"), "{line}");
    program.line("Registering node").await;
    program.signal(rustix::process::Signal::TERM);
    assert_eq!(program.end().await.1, Some(0));

    let program = command("quiet", &[("MICRO_LOG_LEVEL", "error"), ("MICRO_SERVER_ADDRESS", "203.0.113.1:1")]);
    let output = finish(program).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("level=info"));
}

async fn finish(mut command: Command) -> Output {
    tokio::time::timeout(LIMIT, command.output()).await.expect("it ends").unwrap()
}

#[tokio::test]
async fn a_setting_that_cannot_be_ends_the_program_with_2_and_a_line() {
    for (name, value, text) in [
        ("MICRO_BROKER", "pigeon", "greeter: no broker in this program is named \"pigeon\"; known are: "),
        ("MICRO_DRAIN", "long", "greeter: the variable MICRO_DRAIN=long is not valid: write a duration, as 10s"),
        ("MICRO_CONFIG_FILE", "/no/such/file", "greeter: the configuration file cannot be read; check --config_file"),
    ] {
        let output = finish(command("greeter", &[(name, value)])).await;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.lines().any(|line| line.starts_with(text)), "{stderr}");
    }
}

// features: C2
#[cfg(all(feature = "broker-embedded", feature = "registry-embedded"))]
#[tokio::test]
async fn with_nothing_installed_a_program_is_found_by_another_process() {
    let home = tempfile::tempdir().unwrap();
    let name = unique("greeter");
    let folder = home.path().to_str().unwrap();
    let settings = [("MICRO_HOME", folder), ("MICRO_BROKER", "embedded"), ("MICRO_REGISTRY", "embedded")];
    let mut program = Program::start(&name, &settings);
    program.line("Registry [embedded] Registering node").await;
    let service = Service::builder(&unique("client"))
        .args(false)
        .home(home.path())
        .broker("embedded")
        .registry("embedded")
        .build()
        .unwrap();
    let client = service.client();
    let body = Bytes::from_static(b"John");
    crate::support::until("the call is answered", async || {
        client.call::<Bytes, Bytes>(&name, "Echo.Say", &body).await.is_ok_and(|answer| answer == body)
    })
    .await;
    program.signal(rustix::process::Signal::TERM);
    program.line("Broker [embedded] Disconnected from").await;
    assert_eq!(program.end().await.1, Some(0));
}
