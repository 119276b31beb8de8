//! A calling process: sixteen callers, each of which makes one call after the other, at a rate or as fast as it can.

use std::future::Future;
use std::process::Command;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use micro_core::registry::{Memory, Node, Registry as _, Service};
use micro_rpc::Client;
use tonic::transport::Channel;

use super::{CALLERS, go};
use crate::Result;
use crate::child::Child;
use crate::echo::Echo;
use crate::rounds::percentiles;
use crate::tonic_peer;

/// A caller that its parent forgot ends by itself.
const LONGEST: Duration = Duration::from_secs(120);

/// What the callers saw since they were asked last.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) calls: u64,
    pub(super) failed: u64,
    pub(super) seconds: f64,
    pub(super) p50: f64,
    pub(super) p99: f64,
    /// When the last failed call ended, in milliseconds since 1970; 0 if none failed.
    pub(super) last_failed: f64,
}

/// The calling process as its parent has it.
pub(super) struct Callers(Child);

impl Callers {
    pub(super) fn start(kind: &str, addresses: &str, rate: u32) -> Result<Self> {
        let rate = rate.to_string();
        match kind {
            "go-micro" => {
                let program = go::program()?;
                let mut command = Command::new(program);
                command.args(["bench", "-name", "bench", "-registry", "memory", "-address", addresses]);
                command.args(["-rate", &rate, "-callers", &CALLERS.to_string()]);
                command.stderr(std::process::Stdio::null());
                Child::run(&mut command).map(Self)
            }
            _ => Child::start("survival-caller", &[kind, addresses, &rate]).map(Self),
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// Tells what was seen since the last time.
    pub(super) fn seen(&mut self) -> Result<Seen> {
        self.0.tell("tell")?;
        let line = self.0.line()?;
        let fields: Vec<f64> = line.split(' ').filter_map(|field| field.parse().ok()).collect();
        let [calls, failed, seconds, p50, p99, last_failed] = fields[..] else {
            return Err(format!("unreadable: {line}"));
        };
        Ok(Seen { calls: calls as u64, failed: failed as u64, seconds, p50, p99, last_failed })
    }
}

/// Milliseconds since 1970.
pub(super) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1e3
}

#[derive(Default)]
struct Book {
    latencies: Vec<u32>,
    failed: u64,
    last_failed: f64,
}

struct Shared {
    book: Mutex<Book>,
    stop: AtomicBool,
    /// Between two calls of one caller.
    pause: Option<Duration>,
}

/// The process.
pub(crate) fn caller(arguments: &[String]) -> Result<()> {
    let [kind, addresses, rate] = arguments else { return Err("three arguments".to_owned()) };
    let rate: u32 = rate.parse().map_err(|e| format!("{rate}: {e}"))?;
    let pause = (rate > 0).then(|| Duration::from_secs(CALLERS as u64) / rate);
    let shared = Arc::new(Shared { book: Mutex::default(), stop: AtomicBool::new(false), pause });
    let runtime = tokio::runtime::Runtime::new().map_err(|e| e.to_string())?;
    let _entered = runtime.enter();
    if kind == "tonic" {
        let endpoint = |address| Channel::from_shared(format!("http://{address}")).map_err(|e| e.to_string());
        let endpoints = addresses.split(',').map(endpoint).collect::<Result<Vec<_>>>()?;
        let channel = Channel::balance_list(endpoints.into_iter());
        for _ in 0..CALLERS {
            let channel = channel.clone();
            runtime.spawn(repeat(Arc::clone(&shared), move || {
                let channel = channel.clone();
                async move { tonic_peer::call(channel, Echo::of(100)).await.map(drop).map_err(|e| e.to_string()) }
            }));
        }
    } else {
        let client = runtime.block_on(fleet(addresses)).map_err(|e| e.to_string())?;
        let idempotent = kind == "idempotent";
        for _ in 0..CALLERS {
            let client = client.clone();
            runtime.spawn(repeat(Arc::clone(&shared), move || {
                let client = client.clone();
                async move {
                    let echo = Echo::of(100);
                    let call = client.call::<Echo, Echo>("bench", "Echo.Unary", &echo);
                    let outcome = if idempotent { call.idempotent().await } else { call.await };
                    outcome.map(drop).map_err(|e| e.to_string())
                }
            }));
        }
    }
    let mut since = Instant::now();
    for line in std::io::stdin().lines() {
        if line.is_err() {
            break;
        }
        let mut book = std::mem::take(&mut *shared.book.lock().unwrap_or_else(PoisonError::into_inner));
        let seconds = since.elapsed().as_secs_f64();
        since = Instant::now();
        let calls = book.latencies.len() as u64 + book.failed;
        let (p50, p99) = percentiles(&mut book.latencies);
        println!("{calls} {} {seconds} {p50} {p99} {}", book.failed, book.last_failed);
    }
    shared.stop.store(true, Ordering::SeqCst);
    Ok(())
}

/// Makes calls until the process ends; the latencies are of those that succeed.
async fn repeat<F: Future<Output = Result<()>>>(shared: Arc<Shared>, call: impl Fn() -> F) {
    let mut ticks = shared.pause.map(tokio::time::interval);
    let began = Instant::now();
    while !shared.stop.load(Ordering::SeqCst) && began.elapsed() < LONGEST {
        if let Some(ticks) = &mut ticks {
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            ticks.tick().await;
        }
        let start = Instant::now();
        let outcome = call().await;
        let took = u32::try_from(start.elapsed().as_nanos()).unwrap_or(u32::MAX);
        let mut book = shared.book.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(()) => book.latencies.push(took),
            Err(_) => {
                book.failed += 1;
                book.last_failed = now();
            }
        }
    }
}

/// A client with its defaults. Nobody tells its registry of nodes that come and go.
async fn fleet(addresses: &str) -> micro_core::Result<Client> {
    let registry = Memory::new();
    let record = addresses.split(',').enumerate().fold(Service::new("bench", "latest"), |record, (i, address)| {
        record.node(Node::new(format!("bench-{i}"), address))
    });
    registry.register(&record, Duration::from_secs(3_600)).await?;
    Ok(Client::builder().registry(Arc::new(registry)).build())
}
