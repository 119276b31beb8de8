//! A second process: this very test program, started again with a role, and told what to do line by line.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use micro_broker_embedded::Embedded;
use micro_core::broker::{Broker, Delivery, Message, Queue, SubscribeOptions, Topic};

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

    /// Returns everything that it said so far.
    pub(crate) fn said(&self) -> &[String] {
        &self.seen
    }

    /// Returns the bodies it got so far.
    pub(crate) fn got(&mut self) -> Vec<String> {
        self.seen.extend(self.lines.try_iter());
        let got = self.seen.iter().filter_map(|line| line.strip_prefix("got "));
        got.map(|line| line.split_whitespace().next().unwrap_or_default().to_owned()).collect()
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

    /// Waits until it ends by itself, with everything heard that it said.
    pub(crate) fn wait(&mut self) {
        self.child.wait().unwrap();
        while let Ok(line) = self.lines.recv_timeout(LIMIT) {
            self.seen.push(line);
        }
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
        let broker = Embedded::at(Path::new(&folder));
        broker.connect().await.unwrap();
        say("ready");
        let (sender, mut orders) = tokio::sync::mpsc::unbounded_channel();
        thread::spawn(move || std::io::stdin().lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        let held = Held::default();
        while let Some(order) = orders.recv().await {
            let words: Vec<&str> = order.split(' ').collect();
            match words[..] {
                ["publish", topic, key, from, to] => publish(&broker, topic, key, from, to, "0").await,
                ["publish", topic, key, from, to, width] => publish(&broker, topic, key, from, to, width).await,
                ["poison", topic] => {
                    let poison = vec![Message::new("poison")];
                    broker.publish(&Topic::new(topic).unwrap(), poison).all().await.unwrap();
                    say("done");
                }
                ["subscribe", topic, queue, mode] => subscribe(&broker, topic, queue, mode, "30000", &held).await,
                ["subscribe", topic, queue, mode, lease] => subscribe(&broker, topic, queue, mode, lease, &held).await,
                ["ack"] => acknowledge(&held).await,
                ["disconnect"] => {
                    broker.disconnect().await.unwrap();
                    say("done");
                }
                _ => panic!("no such order: {order}"),
            }
        }
    });
}

#[expect(clippy::print_stdout, reason = "the second process answers by its output")]
fn say(line: &str) {
    println!("@{line}");
}

/// `key` `-` is none, `*` is the number itself, `%7` is the number modulo 7. Bodies are filled up to a width.
async fn publish(broker: &Embedded, topic: &str, key: &str, from: &str, to: &str, width: &str) {
    let width = width.parse().unwrap();
    let messages = (from.parse::<u64>().unwrap()..to.parse().unwrap()).map(|number| {
        let message = Message::new(format!("{number:>width$}"));
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

/// What a subscriber in the mode `hold` has not settled.
type Held = Arc<Mutex<Vec<Delivery>>>;

/// Modes: `ack`, `hold` settles nothing, `slow` acknowledges after 2 ms, `retry` fails each with a pause of 50 ms, `die`
/// aborts at a body of `poison` that was not handed out six times.
async fn subscribe(broker: &Embedded, topic: &str, queue: &str, mode: &str, lease: &str, held: &Held) {
    let mut options = SubscribeOptions::new().lease(Duration::from_millis(lease.parse().unwrap()));
    if queue != "-" {
        options = options.queue(Queue::new(queue).unwrap());
    }
    let mut pulling = broker.subscribe(&Topic::new(topic).unwrap(), options).await.unwrap();
    let (mode, held) = (mode.to_owned(), Arc::clone(held));
    tokio::spawn(async move {
        while let Some(deliveries) = pulling.next(64).await.unwrap() {
            for delivery in deliveries {
                let body = String::from_utf8_lossy(delivery.body()).into_owned();
                say(&format!("got {body} {} {}", delivery.attempts(), delivery.deliveries().unwrap()));
                match mode.as_str() {
                    "hold" => held.lock().unwrap().push(delivery),
                    "retry" => delivery.retry(Duration::from_millis(50)).await.unwrap(),
                    "die" if body == "poison" && delivery.deliveries() < Some(6) => std::process::abort(),
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
}

async fn acknowledge(held: &Held) {
    let deliveries = std::mem::take(&mut *held.lock().unwrap());
    let (mut acknowledged, mut refused) = (0, None);
    for delivery in deliveries {
        match delivery.ack().await {
            Ok(()) => acknowledged += 1,
            Err(error) => refused = Some(error.kind()),
        }
    }
    say(&format!("done {acknowledged} acknowledged, {}", refused.map_or_else(String::new, |kind| kind.to_string())));
}
