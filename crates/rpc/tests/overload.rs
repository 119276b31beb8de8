//! More calls than a server can do: with load shedding and without. What is measured is counted in calls, not in time.
//!
//! A program of its own, because its handlers block the cores, which all servers of a process share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use micro_core::Kind;
use micro_rpc::{Client, Endpoint, Server, ServerOptions};
use tokio::sync::Mutex;
use tokio::time::{MissedTickBehavior, interval};

const SERVICE: Duration = Duration::from_millis(5);
const TICK: Duration = Duration::from_millis(10);
const TICKS: u64 = 120;
/// Three times what can be done in a tick.
const A_TICK: u64 = 6;

/// A runtime of one thread, for handlers that block it.
struct Thread {
    handle: tokio::runtime::Handle,
    _stop: tokio::sync::oneshot::Sender<()>,
}

fn thread() -> Thread {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let handle = runtime.handle().clone();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || runtime.block_on(async { stopped.await.ok() }));
    Thread { handle, _stop: stop }
}

/// What became of the calls.
struct Outcome {
    /// Of each answered call in the order of sending: how many others ran from its sending to its begin.
    behind: Vec<u64>,
    refused: u64,
    runs: u64,
    /// The share of the time that the handlers worked.
    busy: f64,
}

/// One at a time has the cores.
static ALONE: Mutex<()> = Mutex::const_new(());

async fn overload(options: ServerOptions) -> Outcome {
    let (runs, worked) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (count, sum) = (runs.clone(), worked.clone());
    let endpoint = Endpoint::unary("Work.Do", move |_, _: Bytes| {
        let (place, began) = (count.fetch_add(1, Ordering::SeqCst), Instant::now());
        // As one that computes: its core does nothing else.
        std::thread::sleep(SERVICE);
        sum.fetch_add(began.elapsed().as_nanos() as u64, Ordering::SeqCst);
        async move { Ok(Bytes::from(place.to_string())) }
    });
    let mut server = Server::new(options);
    server.handle(endpoint);
    let running = server.start().await.unwrap();
    let address = running.address().to_string();
    let client = Client::builder().pool(1).retries(0).timeout(Duration::from_secs(120)).build();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let began = Instant::now();
    let mut calls = Vec::new();
    let mut busy = 0.0;
    for tick in 0..TICKS {
        ticks.tick().await;
        for _ in 0..A_TICK {
            let (client, address, before) = (client.clone(), address.clone(), runs.load(Ordering::SeqCst));
            calls.push(tokio::spawn(async move {
                let place: micro_core::Result<Bytes> =
                    client.call("work", "Work.Do", &Bytes::new()).address(address).await;
                place.map(|place| std::str::from_utf8(&place).unwrap().parse::<u64>().unwrap() - before)
            }));
        }
        if tick + 1 == TICKS {
            busy = worked.load(Ordering::SeqCst) as f64 / began.elapsed().as_nanos() as f64;
        }
    }
    let mut outcome = Outcome { behind: Vec::new(), refused: 0, runs: 0, busy };
    for answer in join_all(calls).await {
        match answer.unwrap() {
            Ok(behind) => outcome.behind.push(behind),
            Err(error) => {
                assert_eq!((error.kind(), error.code()), (Kind::ResourceExhausted, 429), "{error}");
                assert!(error.to_string().contains("Work.Do waited"), "{error}");
                outcome.refused += 1;
            }
        }
    }
    outcome.runs = runs.load(Ordering::SeqCst);
    assert_eq!(running.stats().refused(), outcome.refused);
    outcome
}

fn median(of: &[u64]) -> u64 {
    let mut sorted = of.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

fn options() -> ServerOptions {
    ServerOptions::new("work").address("127.0.0.1:0")
}

fn compare(without: &Outcome, with: &Outcome) {
    // Without it everything is done, and each call waits for more than the one before.
    assert_eq!((without.refused, without.runs), (0, TICKS * A_TICK));
    let quarter = without.behind.len() / 4;
    let (first, last) = (median(&without.behind[..quarter]), median(&without.behind[3 * quarter..]));
    assert!(last > first * 2, "{first} calls went before one at the beginning, {last} at the end");

    // With it no work is for nothing, the server has its hands full, and who is answered did not wait long.
    assert!(with.refused > 0);
    assert_eq!((with.behind.len() as u64, with.behind.len() as u64 + with.refused), (with.runs, TICKS * A_TICK));
    // On a machine of its own it is nine tenths; on one that is busy, refusing costs its share.
    assert!(with.busy > without.busy / 3.0, "busy {:.2} with and {:.2} without", with.busy, without.busy);
    let half = with.behind.len() / 2;
    let (long, short) = (median(&without.behind), median(&with.behind[half..]));
    assert!(short * 4 < long, "{short} calls went before an answered one with shedding, {long} without");
}

#[tokio::test]
async fn a_server_that_sheds_load_answers_as_much_and_soon() {
    let _alone = ALONE.lock().await;
    let without = overload(options()).await;
    let with = overload(options().shed(Duration::from_millis(50))).await;
    compare(&without, &with);
}

#[tokio::test]
async fn load_is_shed_on_a_runtime_of_ones_own_too() {
    let thread = thread();
    let _alone = ALONE.lock().await;
    let without = overload(options().runtime(thread.handle.clone())).await;
    let with = overload(options().runtime(thread.handle.clone()).shed(Duration::from_millis(50))).await;
    compare(&without, &with);
}
