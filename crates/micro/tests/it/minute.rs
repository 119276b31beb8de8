//! A real etcd that is away for a whole minute and comes back with nothing, and programs that go on without it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use micro_faults::{Etcd, Proxy};
use rustix::process::Signal;

use crate::process::Program;
use crate::support::{http_get, service, unique, until};

/// Longer than a registration of these nodes lives.
const AWAY: Duration = Duration::from_secs(65);

/// The longest pause between two tries of a cache, and the time of a try.
const NOTICED: Duration = Duration::from_secs(40);

/// Longer than the nodes that a registry forgot stay known.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// A program with its figures.
struct Measured {
    program: Program,
    probe: SocketAddr,
}

impl Measured {
    async fn start(name: &str, registry: &str, more: &[(&str, &str)]) -> Self {
        let mut settings = vec![
            ("MICRO_REGISTRY", registry),
            ("MICRO_REGISTER_TTL", "20"),
            ("MICRO_REGISTER_INTERVAL", "5"),
            ("MICRO_HTTP_ADDRESS", "127.0.0.1:0"),
        ];
        settings.extend(more);
        let mut program = Program::start(name, &settings);
        let line = program.line("Probes [http] Listening on").await;
        let probe = line.rsplit(' ').next().unwrap().parse().unwrap();
        program.line("Registering node").await;
        Self { program, probe }
    }

    /// Returns the sum of a figure, over all labels but those that are not wanted.
    async fn figure(&self, name: &str, wanted: impl Fn(&str) -> bool) -> f64 {
        let (_, metrics) = http_get(self.probe, "/metrics").await;
        let lines = metrics.lines().filter(|line| line.starts_with(name) && wanted(line));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    /// Returns how many calls succeeded and how many failed.
    async fn calls(&self) -> (f64, f64) {
        let (name, well) = ("micro_rpc_client_requests_total", "code=\"ok\"");
        (self.figure(name, |line| line.contains(well)).await, self.figure(name, |line| !line.contains(well)).await)
    }

    async fn answered(&self) -> f64 {
        self.figure("micro_rpc_server_requests_total", |line| line.contains("Echo.Nap")).await
    }

    async fn is_stale(&self) -> bool {
        self.figure("micro_registry_cache_stale", |_| true).await > 0.0
    }

    async fn end(self) -> Vec<String> {
        self.program.signal(Signal::TERM);
        self.program.end().await.0
    }
}

// features: C6, C7
#[tokio::test]
async fn a_registry_that_is_away_for_a_minute_and_comes_back_empty_fails_no_call() {
    let (server, name) = (Etcd::start().unwrap(), unique("echo"));
    let to = |proxy: &Proxy| format!("etcd://{}", proxy.address());
    let (proxy, theirs) = (Proxy::to(server.address()).unwrap(), Proxy::to(server.address()).unwrap());
    let stays = Measured::start(&name, &to(&theirs), &[]).await;
    let goes = Measured::start(&name, &to(&theirs), &[]).await;
    // Registered once, so that it is the cache alone that asks later on.
    let calling = [("MICRO_TEST_CALLS", &*name), ("MICRO_REGISTER_INTERVAL", "0")];
    let mut caller = Measured::start(&unique("caller"), &to(&proxy), &calling).await;
    until("both nodes are called", async || stays.answered().await > 10.0 && goes.answered().await > 10.0).await;
    assert!(!caller.is_stale().await);

    server.kill();
    let (away, asked) = (Instant::now(), proxy.accepted());
    caller.program.line("the registry is away; going on with the nodes known before").await;
    assert!(caller.is_stale().await);
    goes.end().await;
    let comes = Measured::start(&name, &to(&theirs), &[]).await;
    let mut before = caller.calls().await.0;
    while away.elapsed() < AWAY {
        let amid = stays.answered().await;
        until("a node that is known is called", async || stays.answered().await > amid + 10.0).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (done, failed) = caller.calls().await;
        assert!(done > before && failed == 0.0, "{done} calls after {before}, {failed} failed");
        assert!(caller.is_stale().await, "after {:?}", away.elapsed());
        before = done;
    }
    // Some fifteen times, with up to four connections each: two tries, in which the client dials again.
    let asked = proxy.accepted() - asked;
    assert!((4..=80).contains(&asked), "in {AWAY:?} the registry was asked {asked} times");

    // The caller finds it before the nodes do, and empty.
    theirs.cut();
    server.restart_empty().unwrap();
    caller.program.line_within(NOTICED, "the registry is back and lists no node").await;
    assert!(!caller.is_stale().await);
    let (done, _) = caller.calls().await;
    until("calls go on", async || caller.calls().await.0 > done + 100.0).await;
    theirs.heal();
    until("the new node is called", async || comes.answered().await > 10.0).await;
    let registry = service(&unique("looks")).registry(to(&proxy)).build().unwrap().registry();
    until("who lives has registered again", async || {
        let found = registry.get(&name).await.unwrap();
        found.iter().map(|record| record.nodes.len()).sum::<usize>() == 2
    })
    .await;
    caller.program.line_within(FORGOTTEN, "nodes that did not register again are gone").await;
    let (_, failed) = caller.calls().await;
    let lines = caller.end().await;
    assert_eq!(failed, 0.0, "{lines:#?}");
    for text in ["the registry is away", "the registry is back", "nodes that did not register again"] {
        assert_eq!(lines.iter().filter(|line| line.contains(text)).count(), 1, "{text}: {lines:#?}");
    }
    stays.end().await;
    comes.end().await;
}
