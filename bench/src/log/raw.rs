//! The limit of the disk: a preallocated file with a group commit.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::thread;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use super::BODY;
use crate::meter::Meter;
use crate::rounds::{Sample, percentiles};
use crate::{Result, driver};

const SIZE: u64 = 256 << 20;
/// Length, sequence and room for a checksum.
const HEADER: usize = 24;
const SYNCS: usize = 300;

type Waiting = (Vec<u8>, oneshot::Sender<()>);

/// Makes the file: every byte written, so that a sync has no size or extent to note.
pub(super) fn preallocate(path: &Path) -> Result<()> {
    let mut file = File::create(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let zeros = vec![0_u8; 1 << 20];
    for _ in 0..SIZE >> 20 {
        file.write_all(&zeros).map_err(|e| e.to_string())?;
    }
    file.sync_all().map_err(|e| e.to_string())
}

fn open(path: &Path) -> Result<File> {
    OpenOptions::new().write(true).open(path).map_err(|e| format!("{}: {e}", path.display()))
}

/// Callers that each wait for their own message to be on disk.
pub(super) fn publish(path: &Path, callers: usize) -> Result<Sample> {
    let file = open(path)?;
    let (sender, receiver) = mpsc::unbounded_channel::<Waiting>();
    thread::spawn(move || write(&file, receiver));
    let runtime = tokio::runtime::Runtime::new().map_err(|e| e.to_string())?;
    driver::drive(
        0,
        vec![sender; callers],
        |task| drop(runtime.spawn(task)),
        |sender| async move {
            let (done, answer) = oneshot::channel();
            sender.send((vec![7; BODY], done)).map_err(|e| e.to_string())?;
            answer.await.map_err(|e| e.to_string())
        },
    )
}

/// Drains the queue, writes once, syncs once, answers all.
fn write(file: &File, mut queue: mpsc::UnboundedReceiver<Waiting>) {
    let (mut buffer, mut sequence, mut place) = (Vec::new(), 0_u64, 0_u64);
    let mut waiting: Vec<oneshot::Sender<()>> = Vec::new();
    while let Some(first) = queue.blocking_recv() {
        let mut next = Some(first);
        while let Some((body, done)) = next {
            sequence += 1;
            buffer.extend_from_slice(&(body.len() as u64).to_le_bytes());
            buffer.extend_from_slice(&sequence.to_le_bytes());
            buffer.extend_from_slice(&[0; HEADER - 16]);
            buffer.extend_from_slice(&body);
            waiting.push(done);
            next = queue.try_recv().ok();
        }
        if place + buffer.len() as u64 > SIZE {
            place = 0;
        }
        let written = file.write_all_at(&buffer, place).and_then(|()| file.sync_data());
        if written.is_err() {
            // Dropped answers tell the callers.
            return;
        }
        place += buffer.len() as u64;
        buffer.clear();
        for done in waiting.drain(..) {
            // A caller that no longer waits was stopped.
            let _ = done.send(());
        }
    }
}

/// One append after the other, each synced.
pub(super) fn sync(path: &Path) -> Result<Sample> {
    let file = open(path)?;
    let meter = Meter::start(&[std::process::id()]);
    let mut latencies = Vec::with_capacity(SYNCS);
    for at in 0..SYNCS {
        let start = Instant::now();
        file.write_all_at(&[7; HEADER + BODY], (at * (HEADER + BODY)) as u64).map_err(|e| e.to_string())?;
        file.sync_data().map_err(|e| e.to_string())?;
        latencies.push(u32::try_from(start.elapsed().as_nanos()).unwrap_or(u32::MAX));
    }
    let reading = meter.read();
    let (p50, p99) = percentiles(&mut latencies);
    let (operations, cpu) = (SYNCS as u64, [reading.cpu[0], 0]);
    Ok(Sample { operations, seconds: reading.seconds, cpu, p50, p99, foreign: reading.foreign })
}
