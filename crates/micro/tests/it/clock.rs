//! The clock of the machine is set while services run and call each other: a day ahead, then back by two. Every process
//! but the one of the test sees it so, by libfaketime; what runs since boot goes on as ever.

use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use micro::Client;
use micro::registry::Registry;

use crate::caller::Caller;
use crate::process::Program;
use crate::support::{LIMIT, service, unique, until};

const NODES: usize = 3;
const DAY: i64 = 24 * 60 * 60;

/// A node that is not registered again is gone after this time.
const TTL: Duration = Duration::from_secs(4);

/// The part of one core above which a process does not wait but spin.
const BUSY: f64 = 0.3;

/// How the kernel counts the time of a process.
const TICKS_A_SECOND: u64 = 100;

/// How long a call may take that is under way when the clock is set.
const WAIT: Duration = Duration::from_secs(3);

/// What the clock of programs shows.
struct Clock {
    folder: tempfile::TempDir,
    library: String,
}

impl Clock {
    fn new() -> Self {
        let told = Command::new("faketime").args(["-m", "-f", "+0", "printenv", "LD_PRELOAD"]).output();
        let told = told.expect("faketime runs; install the Debian package faketime").stdout;
        let clock =
            Self { folder: tempfile::tempdir().unwrap(), library: String::from_utf8(told).unwrap().trim().to_owned() };
        clock.set(0);
        clock
    }

    /// Sets it to so many seconds from the true time.
    fn set(&self, seconds: i64) {
        let new = self.folder.path().join("new");
        std::fs::write(&new, format!("{seconds:+}")).unwrap();
        std::fs::rename(new, self.file()).unwrap();
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("clock")
    }
}

/// Nodes of one service, and a caller that goes on and on.
struct Fleet {
    name: String,
    client: Client,
    clock: Clock,
    nodes: Vec<Program>,
    caller: Caller,
}

impl Fleet {
    async fn start(client: &Client, registry: &str, more: &[(&str, &str)]) -> Self {
        let (name, clock) = (unique("fleet"), Clock::new());
        let (file, ttl) = (clock.file(), format!("{}s", TTL.as_secs()));
        let mut settings = vec![
            ("MICRO_REGISTRY", registry),
            ("MICRO_REGISTER_TTL", &*ttl),
            ("MICRO_REGISTER_INTERVAL", "1s"),
            ("LD_PRELOAD", &*clock.library),
            ("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("DONT_FAKE_MONOTONIC", "1"),
        ];
        settings.extend(more);
        let mut nodes = Vec::new();
        for _ in 0..NODES {
            let mut node = Program::start(&name, &settings);
            node.line("Registering node").await;
            nodes.push(node);
        }
        let caller = Caller::start(client, &name, &settings).await;
        Self { name, client: client.clone(), clock, nodes, caller }
    }

    fn programs(&self) -> impl Iterator<Item = &Program> {
        self.nodes.iter().chain([&self.caller.program])
    }

    /// Waits until every process sees the time so many seconds from the true one.
    async fn all_see(&self, seconds: i64) {
        for program in self.programs() {
            let address = program.seen.iter().find_map(|line| line.split_once("Listening on ")).unwrap().1.trim();
            until("the process sees the time", async || {
                let body = Bytes::new();
                let asked = self.client.call::<Bytes, Bytes>(&self.name, "Echo.Clock", &body).address(address);
                let answer = asked.timeout(LIMIT).await.unwrap();
                let seen: i64 = String::from_utf8_lossy(&answer).parse().unwrap();
                let truly = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
                (seen - truly - seconds).abs() < 60
            })
            .await;
        }
    }

    /// The time on a processor that each process has had.
    fn spent(&self) -> Vec<Duration> {
        self.programs().map(|program| spent(program.child.id().unwrap())).collect()
    }
}

fn spent(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // Behind the name, which may hold anything: the 12th and 13th are those of the program and of the kernel for it.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11..=12].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 1_000 / TICKS_A_SECOND)
}

/// Sets the clock ahead and back, and asserts each time that it harms nothing, for longer than a registration lives.
async fn is_harmless(registry: &dyn Registry, fleet: &Fleet) {
    until("all nodes are found", async || nodes(registry, &fleet.name).await.len() == NODES).await;
    let known = nodes(registry, &fleet.name).await;
    fleet.all_see(0).await;
    until("calls are answered", async || fleet.caller.tally().await.0 >= 50).await;
    for seconds in [DAY, -DAY] {
        let waiting = tokio::spawn(fleet.caller.wait(WAIT));
        let before = fleet.caller.tally().await.0;
        fleet.clock.set(seconds);
        fleet.all_see(seconds).await;
        assert!(!waiting.is_finished(), "the limit of a call ends it when it is over, and not before");
        let (began, had) = (Instant::now(), fleet.spent());
        while began.elapsed() < TTL + Duration::from_secs(1) {
            assert_eq!(nodes(registry, &fleet.name).await, known, "{seconds} s from the true time");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let (elapsed, has) = (began.elapsed(), fleet.spent());
        for (had, has) in had.iter().zip(has) {
            let part = (has - *had).as_secs_f64() / elapsed.as_secs_f64();
            assert!(part < BUSY, "{part:.2} of a core in {elapsed:?}, {seconds} s from the true time");
        }
        let (outcome, after) = waiting.await.unwrap();
        assert_eq!(outcome, "Timeout");
        assert!((WAIT..WAIT * 2).contains(&after), "a limit of {WAIT:?} ended after {after:?}");
        let (done, failed) = fleet.caller.tally().await;
        let some = &failed[..failed.len().min(5)];
        assert!(
            failed.is_empty(),
            "{} of {done} calls failed, {seconds} s from the true time: {some:#?}",
            failed.len()
        );
        assert!(done >= before + 50, "only {} calls were answered", done - before);
    }
}

/// The ids of the nodes that are found, sorted.
async fn nodes(registry: &dyn Registry, name: &str) -> Vec<String> {
    let found = registry.get(name).await.unwrap();
    let mut ids: Vec<String> = found.into_iter().flat_map(|record| record.nodes).map(|node| node.id).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn a_clock_that_is_set_harms_no_service_in_the_embedded_registry() {
    let home = tempfile::tempdir().unwrap();
    let observer = service(&unique("observer")).home(home.path()).registry("embedded").build().unwrap();
    let fleet = Fleet::start(&observer.client(), "embedded", &[("MICRO_HOME", home.path().to_str().unwrap())]).await;
    is_harmless(&*observer.registry(), &fleet).await;
}

#[cfg(feature = "registry-etcd")]
#[tokio::test]
async fn a_clock_that_is_set_harms_no_service_in_etcd() {
    let server = micro_faults::Etcd::start().unwrap();
    let address = format!("etcd://{}", server.address());
    let observer = service(&unique("observer")).registry(address.as_str()).build().unwrap();
    let fleet = Fleet::start(&observer.client(), &address, &[]).await;
    is_harmless(&*observer.registry(), &fleet).await;
}

#[cfg(feature = "registry-gossip")]
#[tokio::test]
async fn a_clock_that_is_set_harms_no_service_among_those_that_gossip() {
    let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let seed = format!("gossip://?listen={free}");
    let observer = service(&unique("observer")).registry(seed.as_str()).build().unwrap();
    let registry = observer.registry();
    registry.list().await.unwrap();
    let fleet = Fleet::start(&observer.client(), &format!("gossip://{free}"), &[]).await;
    is_harmless(&*registry, &fleet).await;
}
