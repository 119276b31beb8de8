//! Row `survival`: callers of five nodes of which one is slow, dies, or all restart or fail, beside tonic's balancing channel
//! and go-micro's client.

mod caller;
mod go;
mod node;
mod scale;

use std::thread::sleep;
use std::time::Duration;

use self::caller::{Callers, Seen};
use self::node::Node;
use self::scale::Scale;
use crate::Result;
use crate::meter::Meter;
use crate::page::{Goal, Page, Verdict, percent, short};
use crate::rounds::{is_quick, median};

pub(crate) use self::caller::caller;
pub(crate) use self::node::node;
pub(crate) use self::scale::scale;

const NODES: usize = 5;
const SLOW: usize = 2;
const CALLERS: usize = 16;
const ANSWER: Duration = Duration::from_millis(2);
/// Calls a second, where it is not as many as can be.
const RATE: u32 = 2_000;
const WARM_UP: Duration = Duration::from_millis(1_000);
const COUNTED: Duration = Duration::from_millis(1_500);
const ROUNDS: usize = 3;

/// Recovered means that no call fails for so long.
const CALM: Duration = Duration::from_millis(3_000);

const CLIENTS: &[(&str, &str)] = &[
    ("micro", "micro-rpc, defaults"),
    ("idempotent", "micro-rpc, defaults, calls marked idempotent"),
    ("tonic", "tonic, balance_list"),
    ("go-micro", "go-micro v2.9.1, defaults (random)"),
];

/// What one client saw in one round.
#[derive(Debug, Default)]
struct Round {
    most: Seen,
    even: Seen,
    slow: Seen,
    dead: Seen,
    rolling: Seen,
    foreign: f64,
}

/// An outage of all nodes, as our client came through it.
struct Outage {
    how: &'static str,
    calls: u64,
    /// Tries that reached a node, if there was one.
    tries: Option<u64>,
    /// Milliseconds from the return of the first node to the last failed call.
    recovered: f64,
    foreign: f64,
}

/// Measures and writes the page.
pub(crate) fn run() -> Result<Verdict> {
    let rounds = if is_quick() { 1 } else { ROUNDS };
    let mut all: Vec<Vec<Round>> = CLIENTS.iter().map(|_| Vec::new()).collect();
    for round in 1..=rounds {
        for ((kind, _), rounds) in CLIENTS.iter().zip(&mut all) {
            rounds.push(measure(kind)?);
        }
        eprintln!("round {round} of {rounds}");
    }
    let mut outages = Vec::new();
    for _ in 0..rounds {
        outages.push([failing()?, killed()?]);
    }
    let (nodes, addresses) = fleet(ANSWER)?;
    let scales = scale::measure(&addresses)?;
    drop(nodes);
    page(&all, &outages, &scales)
}

fn fleet(slow: Duration) -> Result<(Vec<Node>, String)> {
    let answer = |place| if place == SLOW { slow } else { ANSWER };
    let nodes = (0..NODES).map(|place| Node::start("127.0.0.1:0", answer(place))).collect::<Result<Vec<_>>>()?;
    let addresses = nodes.iter().map(|node| node.address.clone()).collect::<Vec<_>>().join(",");
    Ok((nodes, addresses))
}

/// Starts callers and has them warm up.
fn callers(kind: &str, addresses: &str, rate: u32) -> Result<Callers> {
    let mut callers = Callers::start(kind, addresses, rate)?;
    sleep(WARM_UP);
    callers.seen()?;
    Ok(callers)
}

fn measure(kind: &str) -> Result<Round> {
    let mut round = Round::default();
    let (mut nodes, addresses) = fleet(ANSWER)?;
    let count = |callers: &mut Callers, nodes: &[Node], foreign: &mut f64| {
        let pids: Vec<u32> =
            nodes.iter().map(|node| node.child.pid()).chain([callers.pid(), std::process::id()]).collect();
        callers.seen()?;
        let meter = Meter::start(&pids);
        sleep(COUNTED);
        *foreign = foreign.max(meter.read().foreign);
        callers.seen()
    };
    round.most = count(&mut callers(kind, &addresses, 0)?, &nodes, &mut round.foreign)?;
    let mut calling = callers(kind, &addresses, RATE)?;
    round.even = count(&mut calling, &nodes, &mut round.foreign)?;
    let (slow, at) = fleet(ANSWER * 10)?;
    round.slow = count(&mut callers(kind, &at, RATE)?, &slow, &mut round.foreign)?;
    drop(slow);

    calling.seen()?;
    for place in 0..NODES {
        let node = nodes.remove(place);
        nodes.insert(place, node.restart()?);
        sleep(COUNTED / NODES as u32);
    }
    round.rolling = calling.seen()?;
    // What does not know by now that all are back is not to count below.
    sleep(WARM_UP);
    calling.seen()?;
    drop(nodes.remove(SLOW));
    sleep(COUNTED);
    round.dead = calling.seen()?;
    Ok(round)
}

/// All nodes fail their calls, and are well again one by one.
fn failing() -> Result<Outage> {
    let (mut nodes, addresses) = fleet(ANSWER)?;
    let mut callers = callers("idempotent", &addresses, RATE)?;
    let meter = Meter::start(&[]);
    let tries = |nodes: &mut [Node]| nodes.iter_mut().map(Node::tries).sum::<Result<u64>>();
    nodes.iter_mut().try_for_each(|node| node.child.tell("fail"))?;
    callers.seen()?;
    let before = tries(&mut nodes)?;
    sleep(COUNTED * 2);
    let calls = callers.seen()?.calls;
    let tries = tries(&mut nodes)? - before;
    let foreign = meter.read().foreign;
    let back = caller::now();
    nodes[0].child.tell("well")?;
    sleep(CALM);
    let recovered = (callers.seen()?.last_failed - back).max(0.0);
    nodes[1..].iter_mut().try_for_each(|node| node.child.tell("well"))?;
    sleep(WARM_UP);
    let seen = callers.seen()?;
    if seen.failed > 0 {
        return Err(format!("{} calls failed with all nodes back", seen.failed));
    }
    Ok(Outage { how: "every node fails each call", calls, tries: Some(tries), recovered, foreign })
}

/// All nodes are killed, and come back at their old addresses one by one; no registry tells of it.
fn killed() -> Result<Outage> {
    let (mut nodes, addresses) = fleet(ANSWER)?;
    let mut callers = callers("idempotent", &addresses, RATE)?;
    let meter = Meter::start(&[]);
    callers.seen()?;
    nodes.clear();
    sleep(COUNTED * 2);
    let calls = callers.seen()?.calls;
    let foreign = meter.read().foreign;
    let first = addresses.split(',').next().unwrap_or_default();
    nodes.push(Node::start(first, ANSWER)?);
    let back = caller::now();
    sleep(CALM);
    let recovered = (callers.seen()?.last_failed - back).max(0.0);
    for address in addresses.split(',').skip(1) {
        nodes.push(Node::start(address, ANSWER)?);
    }
    sleep(WARM_UP);
    let seen = callers.seen()?;
    if seen.failed > 0 {
        return Err(format!("{} calls failed with all nodes back", seen.failed));
    }
    Ok(Outage { how: "every node is killed", calls, tries: None, recovered, foreign })
}

fn page(all: &[Vec<Round>], outages: &[[Outage; 2]], scales: &[Scale]) -> Result<Verdict> {
    let mut page = Page::new(
        "survival",
        "Clients that survive their servers",
        "Five nodes, each a process of micro-rpc that answers after 2 ms, over loopback; sixteen callers in a closed loop, as\n\
         fast as they can or at 2,000 calls a second. All clients are at their defaults and know the five addresses for good:\n\
         no registry tells them of nodes that come and go. Clients take turns; a cell is the median of three rounds, the\n\
         failed calls are those of each round. 1 s warm-up, 1.5 s counted. Slow: one node answers after 20 ms. Killed: SIGKILL\n\
         to one node, no warning. Rolling restart: each node in turn is stopped as a deployment does it, GOAWAY and a drain,\n\
         and starts again at its address. Latencies are of calls that succeed. go-micro tries any call a second time whose\n\
         error is a timeout or its 500, also such as are not safe to repeat; micro-rpc only what surely did not run, or is\n\
         marked; tonic none.",
        &["tonic", "h2", "tokio"],
    );
    let mut rows = Vec::new();
    for ((kind, name), rounds) in CLIENTS.iter().zip(all) {
        let of = |value: &dyn Fn(&Round) -> f64| median(rounds.iter().map(value).collect());
        let foreign = of(&|round| round.foreign);
        let ratio = of(&|round| round.slow.p99 / round.even.p99);
        let failed = |of: fn(&Round) -> &Seen| {
            let each = rounds.iter().map(|round| format!("{} of {}", of(round).failed, short(of(round).calls as f64)));
            each.collect::<Vec<_>>().join(", ")
        };
        let worst = |of: fn(&Round) -> &Seen| rounds.iter().map(|round| of(round).failed).max().unwrap_or(0) as f64;
        let (mut killed, mut rolling) = (failed(|round| &round.dead), failed(|round| &round.rolling));
        let mut slow = format!("{ratio:.2}");
        if matches!(*kind, "micro" | "idempotent") {
            slow = page.judge(ratio, Goal::AtMost(1.5), foreign);
            rolling = format!("{rolling}: {}", page.judge(worst(|round| &round.rolling), Goal::AtMost(0.0), 0.0));
            // Each caller has one call on its way.
            let most = if *kind == "idempotent" { 0.0 } else { CALLERS as f64 };
            killed = format!("{killed}: {}", page.judge(worst(|round| &round.dead), Goal::AtMost(most), 0.0));
        }
        rows.push(vec![
            (*name).to_owned(),
            short(of(&|round| round.most.calls as f64 / round.most.seconds)),
            format!("{:.1} / {:.1}", of(&|round| round.most.p50) / 1e3, of(&|round| round.most.p99) / 1e3),
            format!("{:.1} / {:.1}", of(&|round| round.even.p50) / 1e3, of(&|round| round.even.p99) / 1e3),
            format!("{:.1} / {:.1}", of(&|round| round.slow.p50) / 1e3, of(&|round| round.slow.p99) / 1e3),
            slow,
            killed,
            rolling,
            percent(foreign),
        ]);
    }
    page.table(
        &[
            "client",
            "calls/s",
            "p50 / p99 ms then",
            "p50 / p99 ms at 2,000 calls/s",
            "the same, one slow",
            "p99, × all alike",
            "failed, one killed",
            "failed, rolling restart",
            "others' share",
        ],
        &rows,
    );
    page.say(
        "An outage of all five under 2,000 idempotent calls a second of our client: how many tries reached the nodes while all\n\
         failed, and how long after the return of the first node, alone, the last call failed.",
    );
    let mut rows = Vec::new();
    for place in 0..2 {
        let of = |value: &dyn Fn(&Outage) -> f64| median(outages.iter().map(|pair| value(&pair[place])).collect());
        let foreign = of(&|outage| outage.foreign);
        let extra = of(&|outage| outage.tries.map_or(0.0, |tries| tries as f64 / outage.calls as f64 - 1.0));
        let load = match outages[0][place].tries {
            Some(_) => page.judge(extra, Goal::AtMost(0.2), 0.0),
            None => "nobody is there".to_owned(),
        };
        let recovered = of(&|outage| outage.recovered);
        // A busy machine can only make it longer.
        let noise = if recovered <= 2_000.0 { 0.0 } else { foreign };
        rows.push(vec![
            outages[0][place].how.to_owned(),
            short(of(&|outage| outage.calls as f64)),
            load,
            page.judge(recovered, Goal::AtMost(2_000.0), noise),
        ]);
    }
    page.table(&["outage", "calls while it lasts", "tries beyond the calls, share", "recovered after, ms"], &rows);
    page.say(
        "A client of a service with 10,000 nodes, in a process of its own: from making the client to the first answer, and\n\
         the resident set behind a thousand calls more, medians of three. The memory registry is in the same process.",
    );
    let mut rows = Vec::new();
    for scale in scales {
        // A busy machine can only make it longer.
        let noise = if scale.first <= 1_000.0 { 0.0 } else { 1.0 };
        let first = page.judge(scale.first, Goal::AtMost(1_000.0), noise);
        rows.push(vec![scale.registry.to_owned(), first, page.judge(scale.resident, Goal::AtMost(100.0), 0.0)]);
    }
    page.table(&["registry", "first answer, ms", "resident, MiB"], &rows);
    if scales.len() == 1 {
        page.say("etcd was not measured: it is not installed where this ran.");
    }
    page.finish()
}
