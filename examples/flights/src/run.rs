//! Starts everything, kills one consumer in the middle, checks the end.

use std::time::{Duration, Instant};

use micro::prelude::*;

use crate::child::{Child, Stage};
use crate::patience::patiently;
use crate::proto::{LedgerClient, ReportRequest, ReportResponse};
use crate::{LEDGER, check, names, table};

/// The whole must be done by then, also on a slow machine.
const LIMIT: Duration = Duration::from_secs(600);

/// How long nothing may move before it counts as stuck.
const STUCK: Duration = Duration::from_secs(60);

/// Runs it, in a folder that is gone afterwards, and with topics that no other run has.
pub(crate) async fn run() -> Result<()> {
    let home = tempfile::tempdir().map_err(|error| {
        Error::new(Kind::Internal, "cannot make a folder for the run; is TMPDIR full?").source(error)
    })?;
    let stage = Stage { home, flags: std::env::args().skip(1).collect(), run: names::fresh_run() };
    let reports = Reports::new(&stage)?;
    let flights = tokio::task::spawn_blocking(table::read)
        .await
        .map_err(|error| Error::new(Kind::Internal, "reading the table panicked").source(error))??;
    println!("{} flights of {} carriers", flights.len(), crate::sums::of_table(&flights).len());

    let begin = Instant::now();
    let ledger = Child::start(&["sum"], &stage)?;
    let [a, b, c] = ["a", "b", "c"].map(|name| Child::start(&["consume", name], &stage));
    let (a, b, c) = (a?, b?, c?);
    let publisher = Child::start(&["publish"], &stage)?;

    // Not quite the half, so that both the killed one and the new one have time for their share.
    let middle = flights.len() as u64 * 45 / 100;
    let report = reports.wait_for(middle).await?;
    c.kill().await?;
    println!("{:>8} summed: consumer c killed", report.distinct);
    let d = Child::start(&["consume", "d"], &stage)?;
    println!("{:>8} summed: consumer d started", reports.now().await?.distinct);

    let report = reports.wait_for(flights.len() as u64).await?;
    println!("{:>8} summed, {:.1} s after the start", report.distinct, begin.elapsed().as_secs_f64());
    publisher.done().await?;
    for child in [a, b, d, ledger] {
        child.stop().await?;
    }

    show(&report);
    check::check(&report, &flights, &["a", "b", "c", "d"], "c")?;
    println!("All is right.");
    Ok(())
}

struct Reports(LedgerClient);

impl Reports {
    fn new(stage: &Stage) -> Result<Self> {
        // Flags are the strongest word: what the environment says about the real ~/.micro does not count here.
        let own = ["--home", &stage.home.path().to_string_lossy(), "--registry", "embedded"].map(str::to_owned);
        let flags = [&stage.flags[..], &own].concat();
        let service = Service::builder("flights.check").flag(names::flag()).args(flags).build()?;
        if let Some(word) = service.args().first() {
            let text = format!("a command comes before the flags, as: flights {word} --flag value");
            return Err(Error::new(Kind::InvalidArgument, text));
        }
        Ok(Self(LedgerClient::new(LEDGER, &service.client())))
    }

    async fn now(&self) -> Result<ReportResponse> {
        patiently(STUCK, async || self.0.report(&ReportRequest {}).await).await
    }

    /// Waits until so many flights are summed.
    async fn wait_for(&self, distinct: u64) -> Result<ReportResponse> {
        let (begin, mut moved, mut last) = (Instant::now(), Instant::now(), 0);
        loop {
            let report = self.now().await?;
            if report.distinct >= distinct {
                return Ok(report);
            }
            if report.distinct > last {
                (moved, last) = (Instant::now(), report.distinct);
            }
            if begin.elapsed() > LIMIT || moved.elapsed() > STUCK {
                return Err(Error::new(
                    Kind::Timeout,
                    format!("{last} of {distinct} flights are summed, and it does not go on; see the log above"),
                ));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn show(report: &ReportResponse) {
    println!("carrier  flights      miles  mean delay");
    let mut carriers: Vec<_> = report.totals.iter().collect();
    carriers.sort_by_key(|(_, total)| std::cmp::Reverse(total.flights));
    for (carrier, total) in carriers {
        #[expect(clippy::cast_precision_loss, reason = "a mean for the eye")]
        let mean = total.delay_minutes as f64 / total.delayed.max(1) as f64;
        println!("{carrier:>7} {:>8} {:>10} {mean:>7.1} min", total.flights, total.miles);
    }
    println!("{} results, {} of them repetitions", report.results, report.results - report.distinct);
}
