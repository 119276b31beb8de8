//! A closed loop of callers: warm up, count, stop.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use crate::meter::Meter;
use crate::rounds::{Sample, percentiles};

const WARM_UP: Duration = Duration::from_millis(300);
const COUNTED: Duration = Duration::from_millis(800);

const WARM: u8 = 0;
const COUNT: u8 = 1;
const STOP: u8 = 2;

/// A caller, boxed for the runtime that it shall run on.
pub(crate) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs callers and counts; the server is another process. Each caller makes one operation after the other.
pub(crate) fn drive<C, F>(
    server: u32,
    callers: Vec<C>,
    mut spawn: impl FnMut(Task),
    operation: fn(C) -> F,
) -> Result<Sample>
where
    C: Clone + Send + 'static,
    F: Future<Output = Result<()>> + Send + 'static,
{
    let phase = Arc::new(AtomicU8::new(WARM));
    let (done, results) = channel::<Result<Vec<u32>>>();
    let count = callers.len();
    for caller in callers {
        let (phase, done) = (phase.clone(), done.clone());
        spawn(Box::pin(async move {
            // A parent that is gone does not want to know.
            let _ = done.send(run(&phase, caller, operation).await);
        }));
    }
    thread::sleep(WARM_UP);
    let meter = Meter::start(&[std::process::id(), server]);
    phase.store(COUNT, Ordering::Relaxed);
    thread::sleep(COUNTED);
    phase.store(STOP, Ordering::Relaxed);
    let reading = meter.read();
    let mut latencies = Vec::new();
    for _ in 0..count {
        let one = results.recv_timeout(Duration::from_secs(20)).map_err(|_| "a call does not return")?;
        latencies.extend(one?);
    }
    let operations = latencies.len() as u64;
    let (p50, p99) = percentiles(&mut latencies);
    let cpu = [reading.cpu[0], reading.cpu[1]];
    Ok(Sample { operations, seconds: reading.seconds, cpu, p50, p99, foreign: reading.foreign })
}

async fn run<C, F>(phase: &AtomicU8, caller: C, operation: fn(C) -> F) -> Result<Vec<u32>>
where
    C: Clone,
    F: Future<Output = Result<()>>,
{
    let mut latencies = Vec::with_capacity(100_000);
    loop {
        let start = Instant::now();
        operation(caller.clone()).await?;
        match phase.load(Ordering::Relaxed) {
            WARM => {}
            COUNT => latencies.push(u32::try_from(start.elapsed().as_nanos()).unwrap_or(u32::MAX)),
            _ => return Ok(latencies),
        }
    }
}

/// A sample as a line, for the parent.
pub(crate) fn print(sample: &Sample) {
    let Sample { operations, seconds, cpu, p50, p99, foreign } = sample;
    println!("{operations} {seconds} {} {} {p50} {p99} {foreign}", cpu[0], cpu[1]);
}

/// A sample from its line.
pub(crate) fn parse(line: &str) -> Result<Sample> {
    let fields: Vec<f64> = line.split(' ').filter_map(|field| field.parse().ok()).collect();
    let [operations, seconds, client, server, p50, p99, foreign] = fields[..] else {
        return Err(format!("unreadable sample: {line}"));
    };
    Ok(Sample { operations: operations as u64, seconds, cpu: [client as u64, server as u64], p50, p99, foreign })
}
