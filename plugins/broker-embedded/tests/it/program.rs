//! A second process: this very test program, started again with a role, and told what to do line by line.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use micro_broker_embedded::Embedded;
use micro_core::broker::{Broker, Message, Queue, SubscribeOptions, Topic};

/// Longer than anything takes on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

const FOLDER: &str = "MICRO_TEST_FOLDER";

/// The other process, as the test sees it. It is killed when it is dropped.
pub(crate) struct Program {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Program {
    /// Starts a process that uses the folder.
    pub(crate) fn start(folder: &Path) -> Self {
        Self::start_with(folder, Command::new(std::env::current_exe().unwrap()))
    }

    /// Starts it by another command line, which ends with this program's.
    pub(crate) fn start_with(folder: &Path, mut command: Command) -> Self {
        let mut child = command
            .args(["--exact", "program::role", "--nocapture"])
            .env(FOLDER, folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                // The test harness may have begun the line.
                if let Some((_, said)) = line.split_once('@') {
                    let _ = sender.send(said.to_owned());
                }
            }
        });
        let mut program = Self { child, lines, seen: Vec::new() };
        program.wait_for(|line| line == "ready");
        program
    }

    /// Gives an order.
    pub(crate) fn tell(&mut self, order: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{order}").unwrap();
    }

    /// Gives an order and waits until it is done.
    pub(crate) fn run(&mut self, order: &str) -> String {
        self.tell(order);
        self.wait_for(|line| line.starts_with("done")).trim_start_matches("done ").to_owned()
    }

    /// Waits for a line.
    pub(crate) fn wait_for(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + LIMIT;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).unwrap_or_else(|_| panic!("not said; it said {:?}", self.seen));
            self.seen.push(line.clone());
            if wanted(&line) {
                return line;
            }
        }
    }

    /// Returns the bodies it got so far.
    pub(crate) fn got(&mut self) -> Vec<String> {
        self.seen.extend(self.lines.try_iter());
        let got = self.seen.iter().filter_map(|line| line.strip_prefix("got "));
        got.map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect()
    }

    /// Waits until it has got so many.
    pub(crate) fn wait_for_got(&mut self, count: usize) {
        let end = Instant::now() + LIMIT;
        while self.got().len() < count {
            assert!(Instant::now() < end, "got {} of {count}", self.got().len());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills it as the kernel does: nothing is said or written any more.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The role of the second process; nothing in the first one.
#[test]
fn role() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async move {
        let broker = std::sync::Arc::new(Embedded::at(Path::new(&folder)));
        broker.connect().await.unwrap();
        say("ready");
        let (sender, mut orders) = tokio::sync::mpsc::unbounded_channel();
        thread::spawn(move || std::io::stdin().lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        let mut held = Vec::new();
        while let Some(order) = orders.recv().await {
            let words: Vec<&str> = order.split(' ').collect();
            match words[..] {
                ["publish", topic, key, from, to] => publish(&*broker, topic, key, from, to).await,
                ["subscribe", topic, queue, mode] => held.push(subscribe(&*broker, topic, queue, mode).await),
                ["stop"] => held.clear(),
                ["disconnect"] => {
                    broker.disconnect().await.unwrap();
                    say("done");
                }
                _ => panic!("no such order: {order}"),
            }
        }
    });
}

fn say(line: &str) {
    println!("@{line}");
    std::io::stdout().flush().unwrap();
}

/// `key` `-` is none, `*` is the number itself, `%7` is the number modulo 7.
async fn publish(broker: &Embedded, topic: &str, key: &str, from: &str, to: &str) {
    let messages = (from.parse::<u64>().unwrap()..to.parse().unwrap()).map(|number| {
        let message = Message::new(number.to_string());
        match (key, key.strip_prefix('%')) {
            ("-", _) => message,
            (_, Some(divisor)) => message.key((number % divisor.parse::<u64>().unwrap()).to_string()),
            _ => message.key(number.to_string()),
        }
    });
    let receipts = broker.publish(&Topic::new(topic).unwrap(), messages.collect()).await;
    match receipts.into_iter().find_map(Result::err) {
        None => say("done"),
        Some(error) => say(&format!("done {:?} {error}", error.kind())),
    }
}

struct Abort(tokio::task::AbortHandle);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Modes: `ack`, `hold` settles nothing, `slow` acknowledges after 2 ms, `retry` fails each with a pause of 50 ms, `die`
/// aborts at a body of `poison`.
async fn subscribe(broker: &Embedded, topic: &str, queue: &str, mode: &str) -> Abort {
    let mut options = SubscribeOptions::new();
    if queue != "-" {
        options = options.queue(Queue::new(queue).unwrap());
    }
    let mut pulling = broker.subscribe(&Topic::new(topic).unwrap(), options).await.unwrap();
    let mode = mode.to_owned();
    let task = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Some(deliveries) = pulling.next(64).await.unwrap() {
            for delivery in deliveries {
                let body = String::from_utf8_lossy(delivery.body()).into_owned();
                say(&format!("got {body} {} {}", delivery.attempts(), delivery.deliveries().unwrap()));
                match mode.as_str() {
                    "hold" => kept.push(delivery),
                    "retry" => delivery.retry(Duration::from_millis(50)).await.unwrap(),
                    "die" if body == "poison" => std::process::abort(),
                    "slow" => {
                        tokio::time::sleep(Duration::from_millis(2)).await;
                        drop(delivery.ack().await);
                    }
                    _ => drop(delivery.ack().await),
                }
            }
        }
    });
    say("done");
    Abort(task.abort_handle())
}
