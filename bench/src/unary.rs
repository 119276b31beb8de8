//! Row `unary`: a call of 100 B and its answer.

use std::net::TcpListener;
use std::sync::Arc;

use tonic::transport::Channel;

use crate::child::{Child, until_parent_ends};
use crate::echo::Echo;
use crate::page::{Goal, Page, Verdict, percent, short};
use crate::rounds::{Cell, alternate};
use crate::{Result, driver, meter, ours, tonic_peer};

const BODY: usize = 100;

/// Calls in flight, and connections they share.
const LOADS: &[(usize, usize)] = &[(1, 1), (16, 1), (64, 1), (16, 4), (64, 4)];

const TONIC: &str = "tonic";
const CORES: &str = "ours";
const FOREIGN: &str = "ours-foreign";
const STACKS: &[(&str, &str)] = &[
    (TONIC, "tonic, defaults"),
    (CORES, "micro-rpc, callers on its cores"),
    (FOREIGN, "micro-rpc, callers on a default `#[tokio::main]`"),
];

struct Variant {
    stack: &'static str,
    load: (usize, usize),
    address: String,
    server: u32,
}

/// Measures and writes the page.
pub(crate) fn run() -> Result<Verdict> {
    let mut servers = Vec::new();
    for (stack, _) in STACKS {
        let mut server = Child::start("unary-server", &[stack])?;
        let address = server.line()?;
        servers.push((*stack, address, server));
    }
    let variant = |load| {
        move |(stack, address, server): &(&'static str, String, Child)| Variant {
            stack,
            load,
            address: address.clone(),
            server: server.pid(),
        }
    };
    let mut variants: Vec<Variant> = LOADS.iter().flat_map(|load| servers.iter().map(variant(*load))).collect();
    let cells = alternate(&mut variants, |variant| {
        let numbers = [variant.server.to_string(), variant.load.0.to_string(), variant.load.1.to_string()];
        let mut client =
            Child::start("unary-client", &[variant.stack, &variant.address, &numbers[0], &numbers[1], &numbers[2]])?;
        driver::parse(&client.line()?)
    })?;
    page(&cells)
}

fn page(cells: &[Cell]) -> Result<Verdict> {
    let mut page = Page::new(
        "unary",
        "Unary call of 100 B",
        "An echo of `message { string body = 1; }` between two processes over loopback, closed loop, 0.3 s warm-up, 0.8 s\n\
         counted; stacks take turns, a cell is the median of the five quietest rounds. CPU is of all threads, client and\n\
         server. Calls in flight share the connections; from a foreign runtime a client of micro-rpc has one a core, so that\n\
         there `1` means one client.\n\
         At 1 in flight 5 % are allowed for noise.",
        &["tonic", "h2", "tokio", "prost"],
    );
    let mut rows = Vec::new();
    for (load, cells) in LOADS.iter().zip(cells.chunks(STACKS.len())) {
        let tonic = &cells[0];
        for ((stack, name), cell) in STACKS.iter().zip(cells) {
            let foreign = cell.foreign.max(tonic.foreign);
            let goals = if *stack == TONIC {
                ["1".to_owned(), "1".to_owned()]
            } else {
                let (cpu, rate) = if load.0 == 1 { (1.05, 0.95) } else { (0.7, 1.3) };
                [
                    page.judge(cell.cpu() / tonic.cpu(), Goal::AtMost(cpu), foreign),
                    page.judge(cell.rate / tonic.rate, Goal::AtLeast(rate), foreign),
                ]
            };
            let [cpu, rate] = goals;
            rows.push(vec![
                format!("{} / {}", load.0, load.1),
                (*name).to_owned(),
                short(cell.rate),
                format!("{:.1} ({:.1} + {:.1})", cell.cpu(), cell.cpu[0], cell.cpu[1]),
                format!("{:.0} / {:.0}", cell.p50, cell.p99),
                cpu,
                rate,
                percent(cell.spread),
                percent(cell.foreign),
            ]);
        }
    }
    page.table(
        &[
            "in flight / connections",
            "stack",
            "calls/s",
            "CPU µs a call (client + server)",
            "p50 / p99 µs",
            "CPU, × tonic",
            "calls/s, × tonic",
            "spread",
            "others' share",
        ],
        &rows,
    );
    page.finish()
}

/// The serving process: prints its address.
pub(crate) fn server(arguments: &[String]) -> Result<()> {
    let [stack] = arguments else { return Err("which stack?".to_owned()) };
    if stack != TONIC {
        return ours::serve();
    }
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    println!("{}", listener.local_addr().map_err(|e| e.to_string())?);
    let runtime = tokio::runtime::Runtime::new().map_err(|e| e.to_string())?;
    runtime.spawn(tonic_peer::serve(listener));
    until_parent_ends();
    Ok(())
}

/// The calling process: prints its sample.
pub(crate) fn client(arguments: &[String]) -> Result<()> {
    let [stack, address, server, in_flight, connections] = arguments else { return Err("five arguments".to_owned()) };
    let number = |text: &String| text.parse::<usize>().map_err(|e| format!("{text}: {e}"));
    let (in_flight, connections) = (number(in_flight)?, number(connections)?);
    let server = server.parse::<u32>().map_err(|e| e.to_string())?;
    // What `#[tokio::main]` makes.
    let runtime = tokio::runtime::Runtime::new().map_err(|e| e.to_string())?;
    let sample = if stack == TONIC {
        let connect = || runtime.block_on(tonic_peer::connect(address));
        let channels: Vec<Channel> = (0..connections).map(|_| connect()).collect::<Result<_>>()?;
        let caller = |at: usize| (channels[at % connections].clone(), Echo::of(BODY));
        let callers = (0..in_flight).map(caller).collect();
        driver::drive(
            server,
            callers,
            |task| drop(runtime.spawn(task)),
            |(channel, echo)| async move {
                let answer = tonic_peer::call(channel, echo).await.map_err(|e| e.to_string())?;
                check(&answer)
            },
        )?
    } else {
        let connect = || runtime.block_on(ours::client(address)).map_err(|e| e.to_string());
        // From a foreign runtime, a client has a connection a core.
        let each = if stack == FOREIGN { meter::cores() } else { 1 };
        let clients = (0..connections.div_ceil(each)).map(|_| connect()).collect::<Result<Vec<_>>>()?;
        // The callers of a connection live on its core.
        let places = ours::Places::new(connections);
        let echo = Arc::new(Echo::of(BODY));
        let callers = (0..in_flight).map(|at| (clients[at % clients.len()].clone(), echo.clone())).collect();
        let mut at = 0;
        let spawn = |task| {
            if stack == FOREIGN {
                drop(runtime.spawn(task));
            } else {
                places.spawn(at, task);
            }
            at += 1;
        };
        driver::drive(server, callers, spawn, |(client, echo)| async move {
            let answer = ours::call(&client, &echo).await.map_err(|e| e.to_string())?;
            check(&answer)
        })?
    };
    driver::print(&sample);
    Ok(())
}

fn check(answer: &Echo) -> Result<()> {
    if answer.body.len() == BODY { Ok(()) } else { Err(format!("an answer of {} bytes", answer.body.len())) }
}
