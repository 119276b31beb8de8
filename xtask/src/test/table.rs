//! Where the time went.

use std::fmt;
use std::time::Duration;

/// Rows in the order in which they happened.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<(String, Duration)>,
}

impl Table {
    pub(super) fn row(&mut self, what: impl Into<String>, took: Duration) {
        self.rows.push((what.into(), took));
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|(what, _)| what.chars().count()).max().unwrap_or_default();
        for (what, took) in &self.rows {
            writeln!(f, "{what:<width$}  {:>8.1} s", took.as_secs_f64())?;
        }
        let all: Duration = self.rows.iter().map(|(_, took)| *took).sum();
        writeln!(f, "{:<width$}  {:>8.1} s", "together", all.as_secs_f64())
    }
}
