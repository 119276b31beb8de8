//! Row `selection`: what a choice costs, and what one slow node of five does to the slowest calls.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use micro_core::registry::{Memory, Node, Registry as _, Service};
use micro_core::selector::{
    Candidate, Candidates, Choice, ConsistentHash, Ejecting, Outcome, P2c, Random, RoundRobin, Selector, Sticky,
    Subset, Weighted, ZoneAware,
};
use micro_core::{Error, Kind};
use micro_rpc::{Client, Endpoint, Server, ServerOptions};
use tonic::transport::Channel;

use crate::child::Child;
use crate::echo::Echo;
use crate::page::{Goal, Page, Verdict, percent, short};
use crate::rounds::{Cell, alternate, is_quick, median};
use crate::{Result, driver, meter, ours, tonic_peer};

const NODES: usize = 5;
const SLOW: usize = 2;
const CALLERS: usize = 16;
const ANSWER: Duration = Duration::from_millis(2);

/// How calls are spread, and whether one node is ten times slower.
const VARIANTS: &[(&str, &str, &str)] = &[
    ("p2c", "even", "micro-rpc, p2c with ejection (default)"),
    ("p2c", "slow", "micro-rpc, p2c with ejection (default)"),
    ("random", "slow", "micro-rpc, random"),
    ("roundrobin", "slow", "micro-rpc, round robin"),
    ("tonic", "slow", "tonic, balance_list"),
];

/// Measures and writes the page.
pub(crate) fn run() -> Result<Verdict> {
    let costs = costs();
    let mut servers = Vec::new();
    for kind in ["even", "slow"] {
        let mut server = Child::start("selection-server", &[kind])?;
        let addresses = server.line()?;
        servers.push((kind, addresses, server));
    }
    let mut variants: Vec<_> = VARIANTS.iter().map(|variant| (*variant, Vec::new())).collect();
    let cells = alternate(&mut variants, |((strategy, kind, _), shares)| {
        let (_, addresses, server) = servers.iter_mut().find(|(known, ..)| known == kind).ok_or("no such fleet")?;
        let before = counts(server)?;
        let mut client = Child::start("selection-client", &[strategy, addresses, &server.pid().to_string()])?;
        let sample = driver::parse(&client.line()?)?;
        let after = counts(server)?;
        shares.push((after[0] - before[0]) / (after[1] - before[1]).max(1.0));
        Ok(sample)
    })?;
    let shares: Vec<f64> = variants.into_iter().map(|(_, shares)| median(shares)).collect();
    page(&costs, &cells, &shares)
}

/// Asks a serving process how many calls its slow node has had, and all of them.
fn counts(server: &mut Child) -> Result<[f64; 2]> {
    server.tell("count")?;
    let line = server.line()?;
    let fields: Vec<f64> = line.split(' ').filter_map(|field| field.parse().ok()).collect();
    fields.try_into().map_err(|_| format!("unreadable: {line}"))
}

fn page(costs: &[Cost], cells: &[Cell], shares: &[f64]) -> Result<Verdict> {
    let mut page = Page::new(
        "selection",
        "Choosing a node",
        "First the cost of one choice among nodes of known latency, on one thread and on all cores at once, each the median\n\
         of five; the time of day, which a call asks for anyhow, is not in it. Then sixteen callers in a closed loop against five\n\
         nodes that answer after 2 ms, or one of them after 20 ms, over loopback; 0.3 s warm-up, 0.8 s counted, variants\n\
         take turns, a cell is the median of the five quietest rounds. The third node is the slow one; its share is of all\n\
         calls, from the first on.",
        &["tonic", "h2", "tokio"],
    );
    let mut rows = Vec::new();
    for cost in costs {
        let goal = if cost.nodes == 1_000 { page.judge(cost.alone, Goal::AtMost(200.0), 0.0) } else { String::new() };
        let numbers = [cost.nodes.to_string(), format!("{:.0}", cost.alone), format!("{:.0}", cost.together)];
        rows.push([vec![cost.name.to_owned()], numbers.to_vec(), vec![goal]].concat());
    }
    page.table(&["strategy", "nodes", "ns", "ns, all cores at once", "goal, ns"], &rows);
    let healthy = &cells[0];
    let mut rows = Vec::new();
    for (((strategy, kind, name), cell), share) in VARIANTS.iter().zip(cells).zip(shares) {
        let ratio = cell.p99 / healthy.p99;
        let goal = match (*strategy, *kind) {
            ("p2c", "slow") => page.judge(ratio, Goal::AtMost(1.5), cell.foreign.max(healthy.foreign)),
            _ => format!("{ratio:.2}"),
        };
        let fleet = if *kind == "slow" { "one of five 10 × slower" } else { "all alike" };
        rows.push(vec![
            (*name).to_owned(),
            fleet.to_owned(),
            short(cell.rate),
            format!("{:.1} / {:.1}", cell.p50 / 1e3, cell.p99 / 1e3),
            goal,
            format!("{:.2} %", share * 100.0),
            percent(cell.foreign),
        ]);
    }
    page.table(
        &["client", "nodes", "calls/s", "p50 / p99 ms", "p99, × p2c with all alike", "third node", "others' share"],
        &rows,
    );
    page.finish()
}

/// Nanoseconds of a choice.
struct Cost {
    name: &'static str,
    nodes: usize,
    alone: f64,
    together: f64,
}

const ONE_OUT: &str = "p2c with ejection, one node out";

fn costs() -> Vec<Cost> {
    let strategies: [(&'static str, Arc<dyn Selector>); 10] = [
        ("random", Arc::new(Random)),
        ("roundrobin", Arc::new(RoundRobin::default())),
        ("p2c", Arc::new(P2c::default())),
        ("p2c with ejection (default)", Arc::new(Ejecting::new(P2c::default()))),
        (
            ONE_OUT,
            Arc::new(
                Ejecting::new(P2c::default()).time(Duration::from_secs(3_600)).longest(Duration::from_secs(3_600)),
            ),
        ),
        ("weighted", Arc::new(Weighted::default())),
        ("consistenthash", Arc::new(ConsistentHash::default())),
        ("sticky", Arc::new(Sticky::default())),
        ("p2c in a zone, with ejection", Arc::new(Ejecting::new(ZoneAware::new("a", P2c::default())))),
        ("p2c in a subset of 20, with ejection", Arc::new(Ejecting::new(Subset::new(20, "7", P2c::default())))),
    ];
    let mut costs = Vec::new();
    for (name, strategy) in strategies {
        for nodes in [10, 1_000] {
            let list = candidates(nodes);
            let now = tokio::time::Instant::now();
            for node in list.iter() {
                strategy.record(node, &Outcome::answered(ANSWER, now));
            }
            if name == ONE_OUT {
                let error = Error::new(Kind::Refused, "nobody listens there");
                (0..5).for_each(|_| strategy.record(&list[7], &Outcome::failed(&error, None, now)));
            }
            let runs = |threads| median((0..5).map(|_| nanos(&*strategy, &list, threads)).collect());
            costs.push(Cost { name, nodes, alone: runs(1), together: runs(meter::cores()) });
        }
    }
    costs
}

fn candidates(count: usize) -> Candidates {
    let node = |i: usize| {
        let zone = if i.is_multiple_of(3) { "a" } else { "b" };
        let node = Node::new(format!("node-{i}"), format!("10.0.{}.{}:80", i / 250, i % 250)).with("zone", zone);
        Arc::new(Candidate::new("bench", "latest", node))
    };
    Candidates::new((0..count).map(node).collect::<Vec<_>>())
}

/// Returns the nanoseconds of a choice while this many threads choose.
fn nanos(strategy: &dyn Selector, list: &Candidates, threads: usize) -> f64 {
    let choices: u64 = if is_quick() { 20_000 } else { 1_000_000 };
    let choice_of = |choice: &Choice<'_>, key: u64| strategy.select(list, &choice.with_key_hash(Some(key)));
    let run = || {
        // A second on: what is known has faded a little.
        let choice = Choice::new(tokio::time::Instant::now() + Duration::from_secs(1));
        // Keys of a thousand sessions, as hashes.
        let key = |i: u64| Choice::hash((i % 1_000).to_le_bytes());
        let keys: Vec<u64> = (0..1_000).map(key).collect();
        black_box(choice_of(&choice, keys[0]));
        let start = Instant::now();
        for i in 0..choices {
            black_box(choice_of(&choice, keys[(i % 1_000) as usize]));
        }
        start.elapsed().as_nanos() as f64 / choices as f64
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        let times: Vec<f64> = threads.into_iter().filter_map(|thread| thread.join().ok()).collect();
        times.iter().sum::<f64>() / times.len() as f64
    })
}

/// The serving process: five nodes; prints their addresses.
pub(crate) fn server(arguments: &[String]) -> Result<()> {
    let [kind] = arguments else { return Err("which fleet?".to_owned()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let mut running = Vec::new();
    let hits: Arc<[AtomicU64; NODES]> = Arc::default();
    for node in 0..NODES {
        let answer = if kind == "slow" && node == SLOW { ANSWER * 10 } else { ANSWER };
        let mut server = Server::new(ServerOptions::new("bench").address("127.0.0.1:0"));
        let counted = Arc::clone(&hits);
        server.handle(Endpoint::unary("Echo.Unary", move |_, echo: Echo| {
            counted[node].fetch_add(1, Ordering::Relaxed);
            async move {
                tokio::time::sleep(answer).await;
                Ok(echo)
            }
        }));
        running.push(runtime.block_on(server.start()).map_err(|e| e.to_string())?);
    }
    println!("{}", running.iter().map(|node| node.address().to_string()).collect::<Vec<_>>().join(","));
    // Each line asks for the counts.
    for _ in std::io::stdin().lines().map_while(std::result::Result::ok) {
        let all: u64 = hits.iter().map(|hits| hits.load(Ordering::Relaxed)).sum();
        println!("{} {all}", hits[SLOW].load(Ordering::Relaxed));
    }
    Ok(())
}

/// The calling process: prints its sample.
pub(crate) fn client(arguments: &[String]) -> Result<()> {
    let [strategy, addresses, server] = arguments else { return Err("three arguments".to_owned()) };
    let server = server.parse::<u32>().map_err(|e| e.to_string())?;
    let runtime = tokio::runtime::Runtime::new().map_err(|e| e.to_string())?;
    let spawn = |task| drop(runtime.spawn(task));
    let sample = if strategy == "tonic" {
        let endpoint = |address| Channel::from_shared(format!("http://{address}")).map_err(|e| e.to_string());
        let endpoints = addresses.split(',').map(endpoint).collect::<Result<Vec<_>>>()?;
        let _entered = runtime.enter();
        let channel = Channel::balance_list(endpoints.into_iter());
        let callers = vec![(channel, Echo::of(100)); CALLERS];
        driver::drive(server, callers, spawn, |(channel, echo)| async move {
            tonic_peer::call(channel, echo).await.map(drop).map_err(|e| e.to_string())
        })?
    } else {
        let selector: Arc<dyn Selector> = match strategy.as_str() {
            "random" => Arc::new(Random),
            "roundrobin" => Arc::new(RoundRobin::default()),
            _ => Arc::new(Ejecting::new(P2c::default())),
        };
        let client = runtime.block_on(fleet(addresses, selector)).map_err(|e| e.to_string())?;
        let callers = vec![(client, Arc::new(Echo::of(100))); CALLERS];
        driver::drive(server, callers, spawn, |(client, echo)| async move {
            ours::call(&client, &echo).await.map(drop).map_err(|e| e.to_string())
        })?
    };
    driver::print(&sample);
    Ok(())
}

/// A client that finds the nodes in a registry.
async fn fleet(addresses: &str, selector: Arc<dyn Selector>) -> micro_core::Result<Client> {
    let registry = Memory::new();
    let record = addresses.split(',').enumerate().fold(Service::new("bench", "latest"), |record, (i, address)| {
        record.node(Node::new(format!("bench-{i}"), address))
    });
    registry.register(&record, Duration::from_secs(3_600)).await?;
    Ok(Client::builder().registry(Arc::new(registry)).selector(selector).build())
}
