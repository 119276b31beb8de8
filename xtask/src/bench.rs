//! `cargo xtask bench [NAME]…`: builds the bench and writes what it measures to docs/bench.

use std::process::Command;
use std::time::Duration;

use crate::{Result, command, workspace::Workspace};

const BUILD: Duration = Duration::from_secs(60 * 60);
const RUN: Duration = Duration::from_secs(60 * 60);

/// Every row, or the named ones; `false` when a ratio is missed on a quiet machine.
pub(crate) fn run(names: &[String]) -> Result<bool> {
    let workspace = Workspace::load()?;
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--package", "micro-bench", "--package", "greeter"]).current_dir(&workspace.root);
    let status = command::run(&mut cargo, BUILD)?;
    if !status.success() {
        return Err(format!("the bench does not build: {status}"));
    }
    let mut bench = Command::new(workspace.target.join("release/micro-bench"));
    bench.args(names).current_dir(&workspace.root);
    Ok(command::run(&mut bench, RUN)?.success())
}
