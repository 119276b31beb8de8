//! From publish to the handler in another process.

use std::path::Path;
use std::time::Duration;

use micro_core::broker::{Message, SubscribeOptions, Topic};
use rustix::time::{ClockId, clock_gettime};

use super::{BODY, embedded};
use crate::Result;
use crate::child::Child;
use crate::meter::Meter;
use crate::rounds::{Sample, percentiles};

const MESSAGES: usize = 300;
/// Between two messages: long enough that the subscriber sleeps again.
const PAUSE: Duration = Duration::from_millis(2);

/// Publishes one message after the other to a subscriber in another process.
pub(super) fn measure(folder: &Path, round: u32) -> Result<Sample> {
    let name = format!("bench.handoff.r{round}");
    let mut child = Child::start("log-subscriber", &[&folder.to_string_lossy(), &name])?;
    child.line()?;
    let runtime = tokio::runtime::Runtime::new().map_err(|e| e.to_string())?;
    let meter = Meter::start(&[std::process::id(), child.pid()]);
    runtime.block_on(publish(folder, &name)).map_err(|e| e.to_string())?;
    let line = child.line()?;
    let reading = meter.read();
    let numbers: Vec<f64> = line.split(' ').filter_map(|number| number.parse().ok()).collect();
    let [p50, p99] = numbers[..] else { return Err(format!("unreadable: {line}")) };
    let cpu = [reading.cpu[0], reading.cpu[1]];
    Ok(Sample { operations: MESSAGES as u64, seconds: reading.seconds, cpu, p50, p99, foreign: reading.foreign })
}

async fn publish(folder: &Path, name: &str) -> micro_core::Result<()> {
    let broker = embedded::connect(folder).await?;
    let topic = Topic::new(name)?;
    for _ in 0..MESSAGES {
        let mut body = vec![0; BODY];
        body[..8].copy_from_slice(&now().to_le_bytes());
        broker.publish(&topic, vec![Message::new(body)]).first().await?;
        tokio::time::sleep(PAUSE).await;
    }
    broker.disconnect().await
}

/// The other process: says that it is live, then the percentiles.
pub(crate) fn subscriber(arguments: &[String]) -> Result<()> {
    let [folder, name] = arguments else { return Err("two arguments".to_owned()) };
    let runtime = tokio::runtime::Runtime::new().map_err(|e| e.to_string())?;
    let mut latencies = runtime.block_on(receive(Path::new(folder), name)).map_err(|e| e.to_string())?;
    let (p50, p99) = percentiles(&mut latencies);
    println!("{p50} {p99}");
    Ok(())
}

async fn receive(folder: &Path, name: &str) -> micro_core::Result<Vec<u32>> {
    let broker = embedded::connect(folder).await?;
    let mut subscription = broker.subscribe(&Topic::new(name)?, SubscribeOptions::new()).await?;
    println!("live");
    let mut latencies = Vec::with_capacity(MESSAGES);
    while latencies.len() < MESSAGES {
        let Some(deliveries) = subscription.next(MESSAGES).await? else { break };
        let arrived = now();
        for delivery in deliveries {
            let sent = delivery.body().first_chunk().map_or(arrived, |bytes| u64::from_le_bytes(*bytes));
            latencies.push(u32::try_from(arrived.saturating_sub(sent)).unwrap_or(u32::MAX));
            delivery.ack().await?;
        }
    }
    Ok(latencies)
}

/// Nanoseconds of a clock that all processes of a machine share.
fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}
