//! The project's test command: `cargo xtask test`.

mod privileged;
mod runner;
mod servers;
pub(crate) mod soak;
mod table;

use std::time::Instant;

use crate::{
    Result, consul, examples, flights, guarantees, kafka, peer, services::Services, tools, workspace::Workspace,
};
use runner::Runner;
use table::Table;

/// Passed and failed, of any kind of test.
type Tally = examples::Tally;

/// Runs everything; with arguments after `--`, only `cargo nextest run` with them.
pub(crate) fn run(arguments: &[String]) -> Result<bool> {
    let chosen = arguments.split_first().filter(|(first, _)| *first == "--").map(|(_, rest)| rest.to_vec());
    if chosen.is_none() && !arguments.is_empty() {
        return Err(format!("unexpected {:?}; arguments for the test runner come after `--`", arguments[0]));
    }
    let workspace = Workspace::load()?;
    let mut table = Table::default();

    let start = Instant::now();
    let nextest = tools::ensure("cargo-nextest").inspect_err(|error| {
        println!("xtask: {error}");
        println!("xtask: no cargo-nextest: `cargo test` runs the tests, without a limit for each");
    });
    let mut runner = Runner::new(&workspace, nextest.ok());
    if let Some(path) = peer::ensure(&workspace)? {
        runner.set("MICRO_GO_PEER", path);
    }
    if chosen.is_none() {
        runner.set("MICRO_FLIGHTS", flights::ensure()?);
    }
    let needs = chosen.as_deref().is_none_or(|arguments| servers::needed(&workspace, arguments));
    if needs {
        kafka::ensure()?;
        tools::servers()?;
        consul::ensure()?;
    }
    table.row("fetching tools and data", start.elapsed());

    if let Some(arguments) = chosen {
        let _services = needs.then(|| start_services(&mut runner, &mut table)).transpose()?;
        return Ok(runner.tests(&arguments, &mut table)?.failed == 0);
    }
    let everything = examples::EVERYTHING.map(str::to_owned);
    let start = Instant::now();
    runner.build(&everything)?;
    table.row("building tests", start.elapsed());
    let start = Instant::now();
    examples::build(&workspace, &[])?;
    table.row("building examples", start.elapsed());

    // After building, which leaves a server little of a small machine.
    let services = start_services(&mut runner, &mut table)?;
    let outcomes = guarantees::folder(&workspace)?;
    runner.set(guarantees::REPORT, &outcomes);
    let mut tally = Tally::default();
    add(&mut tally, runner.tests(&everything, &mut table)?);
    add(&mut tally, privileged(&runner, &everything)?);
    let kept = guarantees::is_true(&workspace, &outcomes)?;
    add(&mut tally, Tally { passed: usize::from(kept), failed: usize::from(!kept) });
    let start = Instant::now();
    add(&mut tally, runner.doc_tests(&everything)?);
    table.row("doc tests, with their building", start.elapsed());
    let start = Instant::now();
    add(&mut tally, examples::check(&workspace, &[], &services.variables())?);
    table.row("examples", start.elapsed());

    print!("\n{table}\n");
    println!("{} passed, {} failed", tally.passed, tally.failed);
    Ok(tally.failed == 0)
}

/// `cargo xtask guarantees`: the conformance suites alone, and the page of them.
pub(crate) fn guarantees() -> Result<bool> {
    let workspace = Workspace::load()?;
    kafka::ensure()?;
    tools::servers()?;
    consul::ensure()?;
    let mut table = Table::default();
    let mut runner = Runner::new(&workspace, Some(tools::ensure("cargo-nextest")?));
    let _services = start_services(&mut runner, &mut table)?;
    let outcomes = guarantees::folder(&workspace)?;
    runner.set(guarantees::REPORT, &outcomes);
    let plugins = workspace.packages.iter().filter(|package| package.folder.starts_with("plugins/"));
    let names = plugins.flat_map(|package| ["-p", package.name.as_str()]);
    let chosen = ["-p", "micro-conformance", "-p", "micro-rpc", "-p", "micro-rs"].into_iter().chain(names);
    let chosen =
        chosen.chain(["-E", "package(micro-conformance) or test(/^(conformance|mock|three)::/)"]).map(str::to_owned);
    let passed = runner.tests(&chosen.collect::<Vec<_>>(), &mut table)?.failed == 0;
    Ok(guarantees::write(&workspace, &outcomes)? && passed)
}

/// Starts the servers and tells the tests where they are.
fn start_services(runner: &mut Runner, table: &mut Table) -> Result<Services> {
    let start = Instant::now();
    let services = Services::start()?;
    for (name, value) in services.variables() {
        runner.set(name, value);
    }
    table.row("starting Kafka", start.elapsed());
    Ok(services)
}

/// Runs the tests of each right that is given, and says which are not run.
fn privileged(runner: &Runner, everything: &[String]) -> Result<Tally> {
    let (given, lacking) = privileged::rights();
    let (given, without_filters) = if runner.has_filters() { (given, Vec::new()) } else { (Vec::new(), given) };
    for right in lacking.iter().chain(&without_filters) {
        println!("xtask: NOT RUN, and not counted: {}; they need {}, and nextest", right.filter(), right.needs);
    }
    let filters: Vec<_> = given.iter().map(privileged::Right::filter).collect();
    if filters.is_empty() { Ok(Tally::default()) } else { runner.ignored(everything, &filters.join(" or ")) }
}

fn add(tally: &mut Tally, more: Tally) {
    tally.passed += more.passed;
    tally.failed += more.failed;
}
