//! A page of docs/bench: what was measured, and whether it is what was promised.

use std::fmt::Write as _;
use std::fs;

use crate::rounds::{QUIET, is_quick};
use crate::{Result, machine};

/// Whether a promise is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is.
    Kept,
    /// Others used too much of the machine to say so.
    Unsure,
    /// It is not, and the machine was quiet.
    Missed,
}

/// A page that is being written.
#[derive(Debug)]
pub(crate) struct Page {
    name: &'static str,
    text: String,
    verdicts: Vec<Verdict>,
}

/// A promised ratio.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

impl Page {
    /// Begins a page: its title, and what a reader must know to read the figures.
    pub(crate) fn new(name: &'static str, title: &str, method: &str, packages: &[&str]) -> Self {
        let mut text = format!(
            "# {title}\n\nWritten by `cargo xtask bench {name}`; only ratios carry over to another machine.\n\n"
        );
        let _ = writeln!(text, "{method}\n");
        let _ = writeln!(text, "Machine: {}. Versions: {}.\n", machine::line(), machine::versions(packages));
        Self { name, text, verdicts: Vec::new() }
    }

    /// Adds a paragraph.
    pub(crate) fn say(&mut self, text: &str) {
        let _ = writeln!(self.text, "{text}\n");
    }

    /// Adds a table.
    pub(crate) fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        let _ = writeln!(self.text, "| {} |\n|{}", head.join(" | "), "---|".repeat(head.len()));
        for row in rows {
            let _ = writeln!(self.text, "| {} |", row.join(" | "));
        }
        self.text.push('\n');
    }

    /// Judges a ratio, measured while others used this share of the machine; gives what a table says of it.
    pub(crate) fn judge(&mut self, ratio: f64, goal: Goal, foreign: f64) -> String {
        let (kept, promise) = match goal {
            Goal::AtMost(limit) => (ratio <= limit, format!("≤ {limit}")),
            Goal::AtLeast(limit) => (ratio >= limit, format!("≥ {limit}")),
        };
        let (verdict, mark) = match (kept, foreign < QUIET) {
            (true, true) => (Verdict::Kept, "✓"),
            (false, true) => (Verdict::Missed, "**missed**"),
            (true, false) => (Verdict::Unsure, "✓, machine not quiet"),
            (false, false) => (Verdict::Unsure, "not met, machine not quiet"),
        };
        self.verdicts.push(verdict);
        format!("{ratio:.2} ({promise}) {mark}")
    }

    /// Shows the page, writes it unless this run says too little, and gives the worst verdict.
    pub(crate) fn finish(mut self) -> Result<Verdict> {
        self.text.truncate(self.text.trim_end().len());
        self.text.push('\n');
        println!("{}", self.text);
        if is_quick() {
            return Ok(Verdict::Unsure);
        }
        let has = |verdict| self.verdicts.contains(&verdict);
        let worst =
            [Verdict::Missed, Verdict::Unsure].into_iter().find(|verdict| has(*verdict)).unwrap_or(Verdict::Kept);
        let path = format!("docs/bench/{}.md", self.name);
        if has(Verdict::Unsure) && fs::exists(&path).unwrap_or(false) {
            eprintln!("{path} stays as it was: the machine was not quiet");
            return Ok(worst);
        }
        fs::create_dir_all("docs/bench").map_err(|e| format!("docs/bench: {e}"))?;
        fs::write(&path, &self.text).map_err(|e| format!("{path}: {e}"))?;
        Ok(worst)
    }
}

/// A number that a person reads: 1.54 M, 23.5 k, 812.
pub(crate) fn short(number: f64) -> String {
    match number {
        n if n >= 1e6 => format!("{:.2} M", n / 1e6),
        n if n >= 1e4 => format!("{:.1} k", n / 1e3),
        n if n >= 1e3 => format!("{:.2} k", n / 1e3),
        n if n >= 100.0 => format!("{n:.0}"),
        n => format!("{n:.3}"),
    }
}

/// A share in percent.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// The page of the allocation count, from the lines `stack calls allocations bytes` of its program.
pub(crate) fn allocations(lines: &str) -> Result<Verdict> {
    let mut page = Page::new(
        "allocs",
        "Allocations of a unary call of 100 B",
        "Client and server in one process, one call in flight, after a warm-up; the allocator counts every allocation and\n\
         reallocation of both sides. The figure is exact: no timing is in it.",
        &["tonic", "h2", "tokio", "prost"],
    );
    let mut rows = Vec::new();
    for line in lines.lines() {
        let (stack, numbers) = line.rsplit_once(':').ok_or_else(|| format!("unreadable: {line}"))?;
        let numbers: Vec<f64> = numbers.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        let [allocations, bytes] = numbers[..] else { return Err(format!("unreadable: {line}")) };
        let goal =
            if stack.starts_with("tonic") { String::new() } else { page.judge(allocations, Goal::AtMost(40.0), 0.0) };
        rows.push(vec![stack.to_owned(), format!("{allocations:.1}"), short(bytes), goal]);
    }
    page.table(&["stack", "allocations a call", "bytes a call", "goal"], &rows);
    page.finish()
}
