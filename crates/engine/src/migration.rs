use std::path::Path;

use micro_core::{Error, Kind, Result};
use rusqlite::Connection;

use crate::failure::failure;

/// The tables of one file, as the steps that made them.
///
/// A step is never changed once released; a change is a new step at the end. The number of steps is the version of the
/// file, kept in SQLite's `user_version`.
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    /// What the file holds, for error texts: "broker".
    pub what: &'static str,
    /// The SQL of each step.
    pub steps: &'static [&'static str],
}

impl Schema {
    /// Brings a file to the last step, in one transaction.
    pub(crate) fn migrate(&self, file: &Path, connection: &Connection) -> Result<()> {
        let failed = |error| failure(file, "bring the database to this version", error);
        let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
        let known = self.steps.len() as u32;
        if version > known {
            return Err(Error::new(
                Kind::NewerVersion,
                format!(
                    "the {} database {} is of version {version}, made by a newer program; this program knows versions up to \
                     {known}. Update this program, or give it a folder of its own with MICRO_HOME; the file was not touched",
                    self.what,
                    file.display()
                ),
            ));
        }
        for (step, sql) in self.steps.iter().enumerate().skip(version as usize) {
            let sql = format!("BEGIN IMMEDIATE; {sql}; PRAGMA user_version = {}; COMMIT;", step + 1);
            connection.execute_batch(&sql).map_err(failed)?;
        }
        Ok(())
    }
}
