//! Alternating rounds, and the median of the quietest.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use crate::meter::Meter;

/// Rounds that count.
const COUNTED: usize = 5;
/// Rounds tried at most, to find that many quiet ones.
const MOST: usize = 9;
/// Foreign share below which a round is quiet.
pub(crate) const QUIET: f64 = 0.10;
/// How long a round waits for the machine to become quiet.
const PATIENCE: Duration = Duration::from_secs(2);

static QUICK: AtomicBool = AtomicBool::new(false);

/// One round without waiting: enough to see that a row works, not to say how fast it is.
pub(crate) fn be_quick() {
    QUICK.store(true, Ordering::Relaxed);
}

/// Whether this run only tries the rows.
pub(crate) fn is_quick() -> bool {
    QUICK.load(Ordering::Relaxed)
}

/// One measurement of one cell.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample {
    /// Operations in the counted time.
    pub(crate) operations: u64,
    /// The counted time, in seconds.
    pub(crate) seconds: f64,
    /// CPU of client and server, in nanoseconds.
    pub(crate) cpu: [u64; 2],
    /// Median latency in microseconds.
    pub(crate) p50: f64,
    /// The 99th percentile.
    pub(crate) p99: f64,
    /// Share of the machine that others used.
    pub(crate) foreign: f64,
}

/// A cell of a page: the medians.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cell {
    /// Operations a second.
    pub(crate) rate: f64,
    /// CPU microseconds an operation: client, server.
    pub(crate) cpu: [f64; 2],
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Largest of the counted rounds.
    pub(crate) foreign: f64,
    /// (largest rate - smallest) / median.
    pub(crate) spread: f64,
}

impl Cell {
    /// CPU of both sides.
    pub(crate) fn cpu(&self) -> f64 {
        self.cpu[0] + self.cpu[1]
    }
}

/// Measures every variant once a round. More rounds follow while one of them has too few quiet ones.
pub(crate) fn alternate<V>(variants: &mut [V], measure: impl FnMut(&mut V) -> Result<Sample>) -> Result<Vec<Cell>> {
    alternate_patiently(PATIENCE, variants, measure)
}

fn alternate_patiently<V>(
    patience: Duration,
    variants: &mut [V],
    mut measure: impl FnMut(&mut V) -> Result<Sample>,
) -> Result<Vec<Cell>> {
    let mut samples: Vec<Vec<Sample>> = variants.iter().map(|_| Vec::new()).collect();
    for round in 0..MOST {
        let quiet = |samples: &Vec<Sample>| samples.iter().filter(|s| s.foreign < QUIET).count() >= COUNTED;
        if (is_quick() && round > 0) || (round >= COUNTED && samples.iter().all(quiet)) {
            break;
        }
        for (variant, samples) in variants.iter_mut().zip(&mut samples) {
            if samples.len() >= COUNTED && quiet(samples) {
                continue;
            }
            wait_for_quiet(patience);
            samples.push(measure(variant)?);
        }
        eprintln!("round {} of at most {MOST}", round + 1);
    }
    Ok(samples.into_iter().map(cell).collect())
}

fn wait_for_quiet(patience: Duration) {
    let start = Instant::now();
    while !is_quick() && start.elapsed() < patience {
        let meter = Meter::start(&[]);
        thread::sleep(Duration::from_millis(100));
        if meter.read().foreign < QUIET {
            return;
        }
    }
}

fn cell(mut samples: Vec<Sample>) -> Cell {
    samples.sort_by(|a, b| a.foreign.total_cmp(&b.foreign));
    samples.truncate(COUNTED);
    let of = |value: &dyn Fn(&Sample) -> f64| median(samples.iter().map(value).collect());
    let rate = |s: &Sample| s.operations as f64 / s.seconds;
    let cpu = |side: usize| of(&move |s: &Sample| s.cpu[side] as f64 / 1e3 / s.operations.max(1) as f64);
    let rates: Vec<f64> = samples.iter().map(rate).collect();
    let (low, high) = rates.iter().fold((f64::MAX, 0_f64), |(low, high), rate| (low.min(*rate), high.max(*rate)));
    let middle = of(&rate);
    Cell {
        rate: middle,
        cpu: [cpu(0), cpu(1)],
        p50: of(&|s| s.p50),
        p99: of(&|s| s.p99),
        foreign: samples.iter().map(|s| s.foreign).fold(0.0, f64::max),
        spread: if middle > 0.0 { (high - low) / middle } else { 0.0 },
    }
}

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Two percentiles, in microseconds, of latencies in nanoseconds.
pub(crate) fn percentiles(latencies: &mut [u32]) -> (f64, f64) {
    latencies.sort_unstable();
    let at =
        |share: f64| latencies.get((latencies.len() as f64 * share) as usize).map_or(0.0, |ns| f64::from(*ns) / 1e3);
    (at(0.50), at(0.99))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_the_median_of_the_quietest_rounds() {
        let sample = |operations, foreign| Sample { operations, seconds: 1.0, foreign, ..Sample::default() };
        let loud = [(1, 0.9), (2, 0.8)].map(|(o, f)| sample(o, f));
        let quiet = [(10, 0.01), (20, 0.02), (30, 0.03), (40, 0.04), (50, 0.05)].map(|(o, f)| sample(o, f));
        let cell = cell(loud.into_iter().chain(quiet).collect());
        assert_eq!((cell.rate, cell.foreign), (30.0, 0.05));
    }

    #[test]
    fn rounds_alternate_and_end_when_enough_were_quiet() {
        let mut order = Vec::new();
        let cells = alternate_patiently(Duration::ZERO, &mut ["a", "b"], |variant| {
            order.push(*variant);
            Ok(Sample { operations: 1, seconds: 1.0, ..Sample::default() })
        });
        assert_eq!(cells.unwrap().len(), 2);
        assert_eq!(order, ["a", "b"].repeat(COUNTED));
    }
}
