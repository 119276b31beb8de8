//! Runs every example that has an `expect.toml`, and checks what it prints.
//!
//! ```toml
//! profile = "release"                  # default: dev
//! timeout = 600                        # seconds; of each step that names none (default 60)
//! services = true                      # steps use the servers of `cargo xtask services`, by their variables
//! cargo_features = ["kafka"]           # features of the package that its steps need
//!
//! [[step]]
//! name = "server"                      # for the report, and for later steps to refer to
//! cmd = ["greeter-server"]             # a program of the example's package, or one on the PATH
//! background = true                    # goes on; the step is over when all of `expect` was printed
//! expect = ["Registering node"]        # each must occur in a line of its own, in this order
//! env = { MICRO_RUN = "${RUN}" }       # a word of this play's own, or a variable as MICRO_TEST_KAFKA; in cmd too
//!
//! [[step]]
//! name = "client"
//! cmd = ["greeter-client"]             # runs to its end
//! expect = ["Hello John"]
//! absent = ["panicked"]                # in no line
//! exit = 0                             # the default
//! features = ["A1", "B1"]              # rows of docs/features.md that this step shows
//!
//! [[step]]
//! wait = "server"                      # lines of a background program after those already matched
//! expect = ["called"]
//!
//! [[step]]
//! stop = "server"                      # SIGTERM; it must end with `exit`. `kill = "server"` is SIGKILL
//! expect = ["Deregistering node"]
//! ```
//!
//! The steps of an example share a fresh `MICRO_HOME`; what still runs at the end is killed. Standard output and
//! standard error are read as one.

mod plan;
mod play;
mod variables;

use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

use crate::{Result, command, flights, services::Services, workspace::Package, workspace::Workspace};
use plan::Plan;

const BUILD: Duration = Duration::from_secs(40 * 60);

/// A variable for a program.
pub(crate) type Variable = (&'static str, OsString);

/// How many steps kept their word.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
}

/// `cargo xtask examples [NAME]…`.
pub(crate) fn run(names: &[String]) -> Result<bool> {
    let workspace = Workspace::load()?;
    build(&workspace, names)?;
    let needs = plans(&workspace, names)?.iter().any(|(_, plan)| plan.services);
    let services = needs.then(Services::start).transpose()?;
    let env = services.as_ref().map(Services::variables).unwrap_or_default();
    let tally = check(&workspace, names, &env)?;
    println!("{} passed, {} failed", tally.passed, tally.failed);
    Ok(tally.failed == 0)
}

/// What is tested, as cargo takes it. The tests of the facade with each plugin are among it.
pub(crate) const EVERYTHING: [&str; 5] = ["--workspace", "--exclude", "micro-bench", "--features", "micro-rs/full"];

/// Builds the examples, each in the profile that it asks for.
pub(crate) fn build(workspace: &Workspace, names: &[String]) -> Result<()> {
    for release in [false, true] {
        let packages: Vec<String> = plans(workspace, names)?
            .into_iter()
            .filter(|(_, plan)| plan.release == release)
            .flat_map(|(package, plan)| {
                let features = plan.cargo_features.into_iter().map(|name| format!("{}/{name}", package.name));
                let features: Vec<_> = features.flat_map(|name| ["--features".to_owned(), name]).collect();
                [vec!["--package".to_owned(), package.name], features].concat()
            })
            .collect();
        if packages.is_empty() {
            continue;
        }
        let mut cargo = Command::new("cargo");
        cargo.arg("build").args(release.then_some("--release")).current_dir(&workspace.root);
        match names.is_empty() && !release {
            // As the tests are built, so that nothing is compiled twice for a difference in features. What one package
            // of the workspace asks of a plugin, all have.
            true => cargo.args(EVERYTHING).arg("--all-targets"),
            false => cargo.args(&packages),
        };
        let status = command::run(&mut cargo, BUILD)?;
        if !status.success() {
            return Err(format!("the examples do not build: {status}"));
        }
    }
    Ok(())
}

/// Plays every example; they are built already.
pub(crate) fn check(workspace: &Workspace, names: &[String], env: &[Variable]) -> Result<Tally> {
    let mut tally = Tally::default();
    for (package, plan) in plans(workspace, names)? {
        let mut env = env.to_vec();
        if package.name == "flights" {
            env.push(("MICRO_FLIGHTS", flights::ensure()?.into()));
        }
        let played = play::play(&package, &plan, &workspace.target, &env)?;
        tally.passed += played.passed;
        tally.failed += played.failed;
    }
    Ok(tally)
}

fn plans(workspace: &Workspace, names: &[String]) -> Result<Vec<(Package, Plan)>> {
    let examples = workspace.packages.iter().filter(|package| package.folder.starts_with("examples/"));
    let chosen = examples.filter(|package| names.is_empty() || names.contains(&package.name));
    let mut plans = Vec::new();
    for package in chosen {
        let path = format!("{}/expect.toml", package.folder);
        let text = workspace.read(&path).ok_or_else(|| format!("{path} is missing: what should the example print?"))?;
        plans.push((package.clone(), Plan::parse(&text).map_err(|e| format!("{path}: {e}"))?));
    }
    if let Some(unknown) = names.iter().find(|name| !plans.iter().any(|(package, _)| package.name == **name)) {
        return Err(format!("there is no example {unknown}"));
    }
    Ok(plans)
}
