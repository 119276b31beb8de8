//! What the kernel counted: CPU of processes, and how much of the machine others used.

use std::fs;
use std::time::Instant;

/// Kernel ticks of /proc/stat a second; fixed in its interface.
const TICKS: f64 = 100.0;

/// A reading of the counters.
#[derive(Debug)]
pub(crate) struct Meter {
    pids: Vec<u32>,
    cpu: Vec<u64>,
    busy: u64,
    start: Instant,
}

/// What happened between two readings.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    /// Seconds.
    pub(crate) seconds: f64,
    /// CPU of each process, in nanoseconds.
    pub(crate) cpu: Vec<u64>,
    /// Share of the machine that processes outside used.
    pub(crate) foreign: f64,
}

impl Meter {
    /// Begins to measure these processes.
    pub(crate) fn start(pids: &[u32]) -> Self {
        let cpu = pids.iter().map(|pid| cpu(*pid)).collect();
        Self { pids: pids.to_vec(), cpu, busy: busy(), start: Instant::now() }
    }

    /// Reads what was used since the start.
    pub(crate) fn read(&self) -> Reading {
        let seconds = self.start.elapsed().as_secs_f64();
        let used = self.pids.iter().zip(&self.cpu).map(|(pid, before)| cpu(*pid).saturating_sub(*before));
        let used: Vec<u64> = used.collect();
        let all = (busy().saturating_sub(self.busy)) as f64 / TICKS;
        let ours = used.iter().sum::<u64>() as f64 / 1e9;
        Reading { seconds, cpu: used, foreign: ((all - ours) / (seconds * cores() as f64)).clamp(0.0, 1.0) }
    }
}

/// Cores of this machine.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// CPU time of all threads of a process, in nanoseconds. A thread that ended is not in it.
pub(crate) fn cpu(pid: u32) -> u64 {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return 0 };
    let time = |path: std::path::PathBuf| {
        fs::read_to_string(path.join("schedstat")).ok()?.split(' ').next()?.parse::<u64>().ok()
    };
    tasks.flatten().filter_map(|task| time(task.path())).sum::<u64>()
}

/// Memory of a process that is its own or shared, in bytes.
pub(crate) fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default() * 1024
}

/// Ticks that any core was busy, with time stolen by other machines.
fn busy() -> u64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<u64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq steal
    fields.iter().take(8).enumerate().filter(|(at, _)| ![3, 4].contains(at)).map(|(_, ticks)| ticks).sum()
}
