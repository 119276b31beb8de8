//! The whole program on Kafka, where the server dies too.
#![allow(clippy::print_stdout, reason = "shown when it fails: what happened when")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use micro_faults::kafka::{Kafka, Setup};
use rustix::process::{Pid, Signal, kill_process_group};

/// The runner's limit is three minutes; this one leaves nothing running.
const LIMIT: Duration = Duration::from_secs(160);

/// How long the server is away, at least.
const AWAY: Duration = Duration::from_secs(1);

/// The program and the processes that it starts. Dropped, all are killed.
struct Flights {
    process: Child,
    lines: Receiver<String>,
    printed: Vec<String>,
    began: Instant,
}

impl Flights {
    fn start(broker: &str) -> Self {
        use std::os::unix::process::CommandExt;
        let mut program = Command::new(env!("CARGO_BIN_EXE_flights"));
        program.args(["--broker", broker]).stdout(Stdio::piped()).process_group(0);
        let mut process = program.spawn().expect("the program starts");
        let output = BufReader::new(process.stdout.take().expect("it is piped"));
        let (send, lines) = channel();
        thread::spawn(move || output.lines().map_while(Result::ok).all(|line| send.send(line).is_ok()));
        Self { process, lines, printed: Vec::new(), began: Instant::now() }
    }

    /// Waits for a line that holds this.
    fn until(&mut self, text: &str) -> String {
        loop {
            let left = LIMIT.saturating_sub(self.began.elapsed());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("no {text:?} within {:?}; printed was {:#?}", self.began.elapsed(), self.printed);
            };
            println!("{:>6.1} s  {line}", self.began.elapsed().as_secs_f64());
            self.printed.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }
}

impl Drop for Flights {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw) {
            // Gone already is as good.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.process.wait();
    }
}

/// The number at the start of a line.
fn number(line: &str) -> u32 {
    line.split_whitespace().next().and_then(|word| word.parse().ok()).expect("the line begins with a number")
}

// features: D14, D15, D18
#[test]
fn the_totals_are_right_though_a_consumer_and_then_the_kafka_server_were_killed_in_the_middle() {
    let kafka = Kafka::start(&Setup::new()).unwrap_or_else(|error| panic!("{error}"));
    let mut flights = Flights::start(&format!("kafka://{}?timeout_ms=120000", kafka.bootstrap()));
    flights.until("336776 flights of 16 carriers");
    flights.until("consumer c killed");
    let summed = number(&flights.until("consumer d started"));
    // Nobody has noticed yet that c is gone.
    kafka.kill(1);
    println!("{:>6.1} s  the server is killed", flights.began.elapsed().as_secs_f64());
    thread::sleep(AWAY);
    kafka.restart(1).unwrap_or_else(|error| panic!("{error}"));
    println!("{:>6.1} s  the server is back", flights.began.elapsed().as_secs_f64());
    assert!(summed < 300_000, "{summed} flights were summed before: that is not the middle");
    for text in [
        "ok    the totals of 16 carriers equal those of the table",
        "ok    336776 of 336776 flights were summed",
        "ok    0 flights came after a later one of their tail number",
        "All is right.",
    ] {
        flights.until(text);
    }
    assert!(flights.process.wait().expect("it ends").success());
    assert!(!flights.printed.iter().any(|line| line.contains("WRONG")), "{:#?}", flights.printed);
}
