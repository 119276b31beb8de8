//! Runs the Rust tests: by nextest, or by cargo alone where nextest cannot be had.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::{Table, Tally};
use crate::{Result, command, examples::Variable, workspace::Workspace};

const BUILD: Duration = Duration::from_secs(60 * 60);
const TESTS: Duration = Duration::from_secs(40 * 60);

/// Suites whose names hold this run one interface's contract over every plugin.
const CONFORMANCE: &str = "conformance";

/// How tests are run here.
#[derive(Debug, Clone)]
pub(super) struct Runner {
    root: PathBuf,
    nextest: Option<PathBuf>,
    env: Vec<Variable>,
}

impl Runner {
    pub(super) fn new(workspace: &Workspace, nextest: Option<PathBuf>) -> Self {
        Self { root: workspace.root.clone(), nextest, env: Vec::new() }
    }

    /// A variable for the tests.
    pub(super) fn set(&mut self, name: &'static str, value: impl Into<OsString>) {
        self.env.push((name, value.into()));
    }

    fn cargo(&self) -> Command {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(&self.root).envs(self.env.iter().map(|(name, value)| (name, value)));
        cargo
    }

    /// The command that runs tests, without its arguments.
    fn test(&self) -> Command {
        let mut test = self.cargo();
        match &self.nextest {
            Some(path) => {
                // Called as cargo would: the tool need not be on the PATH.
                let mut direct = Command::new(path);
                direct.current_dir(&self.root).envs(test.get_envs().filter_map(|(n, v)| Some((n, v?))));
                direct.args(["nextest", "run"]);
                direct
            }
            None => {
                test.args(["test", "--no-fail-fast", "--lib", "--bins", "--tests"]);
                test
            }
        }
    }

    /// Builds without running, so that the two times are known apart.
    pub(super) fn build(&self, arguments: &[String]) -> Result<()> {
        let status = command::run(self.test().arg("--no-run").args(arguments), BUILD)?;
        status.success().then_some(()).ok_or_else(|| format!("the tests do not build: {status}"))
    }

    /// Runs the tests. A nextest that ran none, for a filter that fits none, is an error.
    pub(super) fn tests(&self, arguments: &[String], table: &mut Table) -> Result<Tally> {
        let start = Instant::now();
        let mut test = self.test();
        test.args(arguments);
        if self.nextest.is_none() {
            let (status, lines) = command::run_reading(&mut test, TESTS)?;
            table.row("tests", start.elapsed());
            return honest(sum(&lines), status.success());
        }
        let (suites, success) = self.reported(&mut test)?;
        let took = start.elapsed();
        let spent = |conformance: bool| -> f64 {
            suites.iter().filter(|s| s.name.contains(CONFORMANCE) == conformance).map(|s| s.seconds).sum()
        };
        // Tests run side by side: the elapsed time is shared out by the time that each kind took by itself.
        let (conformance, rest) = (spent(true), spent(false));
        let share = if conformance + rest > 0.0 { conformance / (conformance + rest) } else { 0.0 };
        table.row("conformance tests", took.mul_f64(share));
        table.row("other tests", took.mul_f64(1.0 - share));
        honest(count(&suites), success)
    }

    /// Runs tests that an ordinary run ignores: those of a filter.
    pub(super) fn ignored(&self, arguments: &[String], filter: &str) -> Result<Tally> {
        let mut test = self.test();
        test.args(arguments).args(["--run-ignored", "only", "-E", filter]);
        let (suites, success) = self.reported(&mut test)?;
        honest(count(&suites), success)
    }

    /// Tells whether it is nextest that runs the tests.
    pub(super) fn has_filters(&self) -> bool {
        self.nextest.is_some()
    }

    /// Runs nextest, and reads its report; says whether it succeeded.
    fn reported(&self, test: &mut Command) -> Result<(Vec<Suite>, bool)> {
        // The runner keeps its reports in the checkout, wherever the target folder is.
        let report = self.root.join("target/nextest").join(profile(test)).join("junit.xml");
        if report.exists() {
            fs::remove_file(&report).map_err(|e| format!("cannot remove {}: {e}", report.display()))?;
        }
        let status = command::run(test, TESTS)?;
        let text = fs::read_to_string(&report)
            .map_err(|e| format!("the test runner ({status}) left no report at {}: {e}", report.display()))?;
        Ok((suites(&text), status.success()))
    }

    /// Runs tests without counting them; says whether all passed. Running none is no success.
    pub(super) fn run(&self, arguments: &[String], limit: Duration) -> Result<bool> {
        Ok(command::run(self.test().args(arguments), limit)?.success())
    }

    /// Runs the examples in the documentation.
    pub(super) fn doc_tests(&self, arguments: &[String]) -> Result<Tally> {
        let mut test = self.cargo();
        test.args(["test", "--doc", "--no-fail-fast"]).args(arguments);
        let (status, lines) = command::run_reading(&mut test, TESTS)?;
        honest(sum(&lines), status.success())
    }
}

/// The profile that a call of the runner names.
fn profile(test: &Command) -> String {
    let mut arguments = test.get_args().map(|argument| argument.to_string_lossy());
    while let Some(argument) = arguments.next() {
        if ["--profile", "-P"].contains(&&*argument) {
            return arguments.next().unwrap_or_default().into_owned();
        }
        if let Some(profile) = argument.strip_prefix("--profile=") {
            return profile.to_owned();
        }
    }
    "default".to_owned()
}

/// A run that failed without a failed test counts as one: something else broke.
fn honest(mut tally: Tally, success: bool) -> Result<Tally> {
    if !success && tally.failed == 0 {
        println!("xtask: the run failed though no test did");
        tally.failed = 1;
    }
    Ok(tally)
}

fn count(suites: &[Suite]) -> Tally {
    let failed = suites.iter().map(|s| s.failed).sum();
    Tally { passed: suites.iter().map(|s| s.tests).sum::<usize>() - failed, failed }
}

/// Sums the lines `test result: ok. 3 passed; 0 failed; …`.
fn sum(lines: &[String]) -> Tally {
    let mut tally = Tally::default();
    for line in lines.iter().filter_map(|line| line.strip_prefix("test result:")) {
        let number = |word: &str| {
            let before = line.split(word).next().unwrap_or_default();
            before.split_whitespace().last().and_then(|n| n.parse::<usize>().ok()).unwrap_or_default()
        };
        tally.passed += number(" passed");
        tally.failed += number(" failed");
    }
    tally
}

/// One test program of nextest's report.
#[derive(Debug, Default, PartialEq)]
struct Suite {
    name: String,
    tests: usize,
    failed: usize,
    seconds: f64,
}

/// Reads the JUnit report as nextest writes it: one tag a line.
fn suites(report: &str) -> Vec<Suite> {
    let mut suites: Vec<Suite> = Vec::new();
    for line in report.lines().map(str::trim) {
        let attribute = |name: &str| {
            line.split_once(&format!(" {name}=\"")).and_then(|(_, rest)| rest.split('"').next()).unwrap_or_default()
        };
        let number = |name: &str| attribute(name).parse::<usize>().unwrap_or_default();
        if line.starts_with("<testsuite ") {
            let failed = number("failures") + number("errors");
            let tests = number("tests").saturating_sub(number("skipped"));
            suites.push(Suite { name: attribute("name").to_owned(), tests, failed, seconds: 0.0 });
        } else if line.starts_with("<testcase ")
            && let Some(suite) = suites.last_mut()
        {
            suite.seconds += attribute("time").parse::<f64>().unwrap_or_default();
        }
    }
    suites
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_that_of_the_profile() {
        let of = |arguments: &[&str]| profile(Command::new("nextest").args(arguments));
        assert_eq!(of(&["nextest", "run", "-p", "one"]), "default");
        for given in [&["run", "--profile", "soak", "x"][..], &["run", "-P", "soak"], &["run", "--profile=soak"]] {
            assert_eq!(of(given), "soak", "{given:?}");
        }
    }

    #[test]
    fn results_of_several_test_programs_are_summed() {
        let lines = ["test result: ok. 3 passed; 0 failed; 1 ignored", "x", "test result: FAILED. 1 passed; 2 failed;"]
            .map(str::to_owned);
        let tally = sum(&lines);
        assert_eq!((tally.passed, tally.failed), (4, 2));
    }

    #[test]
    fn a_run_that_broke_without_a_failed_test_is_not_green() {
        assert_eq!(honest(Tally { passed: 4, failed: 0 }, false).unwrap().failed, 1);
        assert_eq!(honest(Tally { passed: 4, failed: 0 }, true).unwrap().failed, 0);
    }

    #[test]
    fn nextest_s_report_is_read() {
        let report = r#"<testsuites name="nextest-run" tests="3" failures="1" errors="0" time="2.0">
            <testsuite name="micro-core::conformance" tests="2" disabled="0" errors="0" failures="1">
                <testcase name="a" classname="c" timestamp="t" time="0.5">
                </testcase>
                <testcase name="b" classname="c" timestamp="t" time="1.5">
                    <failure type="test failure">x</failure>
                </testcase>
            </testsuite>
            <testsuite name="xtask" tests="1" disabled="0" errors="0" failures="0">"#;
        let suites = suites(report);
        assert_eq!(suites[0], Suite { name: "micro-core::conformance".into(), tests: 2, failed: 1, seconds: 2.0 });
        assert_eq!(suites[1].tests, 1);
    }
}
