//! Row `log`: durable publishes, consumption, and the way to a handler in another process.

mod embedded;
mod handoff;
mod raw;

use std::path::{Path, PathBuf};

use crate::child::{Child, beside};
use crate::page::{Goal, Page, Verdict, percent, short};
use crate::rounds::{Cell, Sample, alternate};
use crate::{Result, driver};

pub(crate) use handoff::subscriber;

/// Bytes of a message.
const BODY: usize = 100;
/// Callers that overlap.
const CALLERS: &[usize] = &[1, 64, 256];

/// What is measured in one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The bare file with a group commit.
    Raw(usize),
    /// The embedded broker.
    Ours(usize),
    /// A backlog, consumed and settled.
    Consume,
    /// One append to the bare file, synced.
    Sync,
    /// Publish to handler in another process.
    Handoff,
}

/// Measures and writes the page.
pub(crate) fn run() -> Result<Verdict> {
    // Beside the program, on a real disk: the temporary folder may be memory.
    let folder = beside("")?;
    let folder = tempfile::tempdir_in(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    raw::preallocate(&raw_file(folder.path()))?;
    let mut kinds: Vec<Kind> = CALLERS.iter().flat_map(|callers| [Kind::Raw(*callers), Kind::Ours(*callers)]).collect();
    kinds.extend([Kind::Consume, Kind::Sync, Kind::Handoff]);
    let mut round = 0_u32;
    let cells = alternate(&mut kinds, |kind| {
        round += 1;
        measure(*kind, folder.path(), round)
    })?;
    page(&kinds, &cells)
}

fn raw_file(folder: &Path) -> PathBuf {
    folder.join("raw")
}

fn measure(kind: Kind, folder: &Path, round: u32) -> Result<Sample> {
    match kind {
        Kind::Sync => raw::sync(&raw_file(folder)),
        Kind::Handoff => handoff::measure(&folder.join("handoff"), round),
        Kind::Raw(callers) => client(&["raw", &raw_file(folder).to_string_lossy(), &callers.to_string()]),
        Kind::Ours(callers) => client(&["ours", &folder.join("publish").to_string_lossy(), &callers.to_string()]),
        Kind::Consume => client(&["consume", &folder.join(format!("consume-{round}")).to_string_lossy(), "0"]),
    }
}

fn client(arguments: &[&str]) -> Result<Sample> {
    driver::parse(&Child::start("log-client", arguments)?.line()?)
}

/// The measured process: prints its sample.
pub(crate) fn client_role(arguments: &[String]) -> Result<()> {
    let [what, path, callers] = arguments else { return Err("three arguments".to_owned()) };
    let callers = callers.parse().map_err(|e| format!("{callers}: {e}"))?;
    let path = Path::new(path);
    let sample = match what.as_str() {
        "raw" => raw::publish(path, callers),
        "ours" => embedded::publish(path, callers),
        "consume" => embedded::consume(path),
        _ => Err(format!("what is {what}?")),
    };
    driver::print(&sample?);
    Ok(())
}

fn page(kinds: &[Kind], cells: &[Cell]) -> Result<Verdict> {
    let mut page = Page::new(
        "log",
        "Embedded broker: durable publishes, consumption, hand-over",
        "Messages of 100 B. A publish is answered when it is synced to disk. `raw` is a zero-filled, preallocated file with a\n\
         group commit: one thread drains the queue, writes once, syncs once, answers all. Callers are tasks on a default\n\
         tokio runtime, each with one publish in flight. `consume` takes a backlog of a queue in batches and settles every\n\
         message; it is measured from the first message to the last settlement.",
        &["rusqlite", "libsqlite3-sys", "tokio"],
    );
    let cell = |kind: Kind| kinds.iter().position(|k| *k == kind).map_or_else(Cell::default, |at| cells[at].clone());
    let mut rows = Vec::new();
    for callers in CALLERS {
        let (raw, ours) = (cell(Kind::Raw(*callers)), cell(Kind::Ours(*callers)));
        let ratio = ours.rate / raw.rate;
        let foreign = ours.foreign.max(raw.foreign);
        let goal = if *callers >= 64 { page.judge(ratio, Goal::AtLeast(0.3), foreign) } else { format!("{ratio:.2}") };
        rows.push(row(&format!("raw, {callers} callers"), &raw, "1".to_owned()));
        rows.push(row(&format!("embedded, {callers} callers"), &ours, goal));
    }
    let (consume, least) = (cell(Kind::Consume), cell(Kind::Raw(64)).rate * 0.3);
    let goal = page.judge(consume.rate / least, Goal::AtLeast(1.0), consume.foreign);
    rows.push(row("consume and settle, against 0.3 × raw at 64 callers", &consume, goal));
    page.table(&["what", "messages/s", "CPU µs a message", "p50 / p99 µs", "× raw", "spread", "others' share"], &rows);

    let (sync, handoff) = (cell(Kind::Sync), cell(Kind::Handoff));
    let foreign = handoff.foreign.max(sync.foreign);
    let goal = page.judge(handoff.p50 / sync.p50, Goal::AtMost(5.0), foreign);
    page.say("From publish to the handler in another process, one message at a time:");
    let line = |what: &str, cell: &Cell, goal: String| {
        vec![what.to_owned(), format!("{:.0}", cell.p50), format!("{:.0}", cell.p99), goal, percent(cell.foreign)]
    };
    page.table(
        &["what", "p50 µs", "p99 µs", "p50, × fdatasync", "others' share"],
        &[line("write and fdatasync of 124 B", &sync, "1".to_owned()), line("publish to handler", &handoff, goal)],
    );
    page.finish()
}

fn row(what: &str, cell: &Cell, ratio: String) -> Vec<String> {
    vec![
        what.to_owned(),
        short(cell.rate),
        format!("{:.2}", cell.cpu()),
        if cell.p50 > 0.0 { format!("{:.0} / {:.0}", cell.p50, cell.p99) } else { "not measured".to_owned() },
        ratio,
        percent(cell.spread),
        percent(cell.foreign),
    ]
}
