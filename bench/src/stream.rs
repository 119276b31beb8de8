//! Row `stream`: messages of 100 B there and back on bidirectional streams.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::child::Child;
use crate::driver::Task;
use crate::echo::Echo;
use crate::meter::Meter;
use crate::page::{Goal, Page, Verdict, percent, short};
use crate::rounds::{Sample, alternate};
use crate::{Result, driver, ours, tonic_peer, unary};

const BODY: usize = 100;
const STREAMS: &[usize] = &[1, 16];
const TONIC: &str = "tonic";
const STACKS: &[(&str, &str)] =
    &[(TONIC, "tonic, fed through a channel of 256"), ("ours", "micro-rpc, `send` and `recv`")];
const WARM_UP: Duration = Duration::from_millis(300);
const COUNTED: Duration = Duration::from_millis(800);

/// Measures and writes the page.
pub(crate) fn run() -> Result<Verdict> {
    let mut servers = Vec::new();
    for (stack, _) in STACKS {
        let mut server = Child::start("stream-server", &[stack])?;
        let address = server.line()?;
        servers.push((*stack, address, server));
    }
    let servers = &servers;
    let mut variants: Vec<_> =
        STREAMS.iter().flat_map(|streams| servers.iter().map(move |server| (*streams, server))).collect();
    let cells = alternate(&mut variants, |(streams, (stack, address, server))| {
        let numbers = [server.pid().to_string(), streams.to_string()];
        driver::parse(&Child::start("stream-client", &[stack, address, &numbers[0], &numbers[1]])?.line()?)
    })?;

    let mut page = Page::new(
        "stream",
        "Bidirectional streams, 100 B",
        "Each stream is written as fast as it takes messages, and every message comes back; one connection, two processes,\n\
         loopback. A message counts when its echo has arrived.",
        &["tonic", "h2", "tokio", "prost"],
    );
    let mut rows = Vec::new();
    for (streams, cells) in STREAMS.iter().zip(cells.chunks(STACKS.len())) {
        let tonic = &cells[0];
        for ((stack, name), cell) in STACKS.iter().zip(cells) {
            let foreign = cell.foreign.max(tonic.foreign);
            let goal = if *stack == TONIC {
                "1".to_owned()
            } else {
                page.judge(cell.rate / tonic.rate, Goal::AtLeast(1.0), foreign)
            };
            rows.push(vec![
                streams.to_string(),
                (*name).to_owned(),
                short(cell.rate),
                format!("{:.2} ({:.2} + {:.2})", cell.cpu(), cell.cpu[0], cell.cpu[1]),
                format!("{:.2}", cell.cpu() / tonic.cpu()),
                goal,
                percent(cell.spread),
                percent(cell.foreign),
            ]);
        }
    }
    page.table(
        &[
            "streams",
            "stack",
            "echoes/s",
            "CPU µs a message (client + server)",
            "CPU, × tonic",
            "echoes/s, × tonic",
            "spread",
            "others' share",
        ],
        &rows,
    );
    page.finish()
}

/// The serving process: prints its address.
pub(crate) fn server(arguments: &[String]) -> Result<()> {
    unary::server(arguments)
}

/// The calling process: prints its sample.
pub(crate) fn client(arguments: &[String]) -> Result<()> {
    let [stack, address, server, streams] = arguments else { return Err("four arguments".to_owned()) };
    let server = server.parse::<u32>().map_err(|e| e.to_string())?;
    let streams = streams.parse::<usize>().map_err(|e| e.to_string())?;
    let counters: Vec<Arc<AtomicU64>> = (0..streams).map(|_| Arc::default()).collect();
    let runtime = tokio::runtime::Runtime::new().map_err(|e| e.to_string())?;
    if stack == TONIC {
        let channel = runtime.block_on(tonic_peer::connect(address))?;
        for counter in &counters {
            runtime.spawn(told(over_tonic(channel.clone(), counter.clone())));
        }
    } else {
        let caller = runtime.block_on(ours::client(address)).map_err(|e| e.to_string())?;
        let places = ours::Places::new(1);
        for counter in &counters {
            let task: Task = Box::pin(told(over_ours(caller.clone(), counter.clone())));
            places.spawn(0, task);
        }
    }
    thread::sleep(WARM_UP);
    let count = || counters.iter().map(|counter| counter.load(Ordering::Relaxed)).sum::<u64>();
    let meter = Meter::start(&[std::process::id(), server]);
    let before = count();
    thread::sleep(COUNTED);
    let operations = count() - before;
    let reading = meter.read();
    if operations == 0 {
        return Err("no message came back".to_owned());
    }
    let cpu = [reading.cpu[0], reading.cpu[1]];
    driver::print(&Sample { operations, seconds: reading.seconds, cpu, foreign: reading.foreign, ..Sample::default() });
    Ok(())
}

async fn told(stream: impl Future<Output = Result<()>>) {
    if let Err(text) = stream.await {
        eprintln!("micro-bench stream-client: {text}");
    }
}

async fn over_tonic(channel: tonic::transport::Channel, counter: Arc<AtomicU64>) -> Result<()> {
    let (sender, mut echoes) = tonic_peer::stream(channel).await.map_err(|e| e.to_string())?;
    tokio::spawn(async move { while sender.send(Echo::of(BODY)).await.is_ok() {} });
    while echoes.message().await.map_err(|e| e.to_string())?.is_some() {
        counter.fetch_add(1, Ordering::Relaxed);
    }
    Err("the stream ended".to_owned())
}

async fn over_ours(caller: micro_rpc::Client, counter: Arc<AtomicU64>) -> Result<()> {
    let stream = ours::stream(&caller).await.map_err(|e| e.to_string())?;
    let (sender, mut echoes) = stream.split();
    micro_rpc::spawn(async move {
        // As the peer must: a message made anew each time.
        while sender.send(Echo::of(BODY)).await.is_ok() {}
    });
    while echoes.recv().await.map_err(|e| e.to_string())?.is_some() {
        counter.fetch_add(1, Ordering::Relaxed);
    }
    Err("the stream ended".to_owned())
}
