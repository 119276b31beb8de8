//! Plays the steps of one example.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::plan::{Action, Plan, Step};
use super::{Tally, Variable, variables::Variables};
use crate::{Result, command::Group, workspace::Package};

/// Lines shown of a program that did not do what it should.
const TAIL: usize = 40;
const PAUSE: Duration = Duration::from_millis(50);

/// A program of the example, and what it has printed.
struct Program {
    group: Group,
    lines: Receiver<String>,
    printed: Vec<String>,
    /// Lines before this one are matched already.
    read: usize,
    exit: Option<ExitStatus>,
}

/// Runs all steps; after the first that fails the others are not tried, and count as failed.
pub(super) fn play(package: &Package, plan: &Plan, target: &Path, env: &[Variable]) -> Result<Tally> {
    let home = std::env::temp_dir().join(format!("micro-rs-{}-{}", package.name, std::process::id()));
    std::fs::create_dir_all(&home).map_err(|e| format!("cannot make {}: {e}", home.display()))?;
    let stage = Stage {
        folder: target.join(if plan.release { "release" } else { "debug" }),
        own: package.programs.clone(),
        home: home.clone(),
        env,
        variables: Variables::new(env),
    };
    let mut running = HashMap::new();
    let mut tally = Tally::default();
    for step in &plan.steps {
        let start = Instant::now();
        match stage.step(step, &mut running) {
            Ok(()) => {
                tally.passed += 1;
                println!("    PASS [{:>7.1}s] example {}: {}", start.elapsed().as_secs_f64(), package.name, step.name);
            }
            Err(text) => {
                tally.failed = plan.steps.len() - tally.passed;
                println!(
                    "    FAIL [{:>7.1}s] example {}: {}\n{text}",
                    start.elapsed().as_secs_f64(),
                    package.name,
                    step.name
                );
                break;
            }
        }
    }
    drop(running);
    // What cannot be removed lies in the temporary folder and harms nobody.
    let _ = std::fs::remove_dir_all(&home);
    Ok(tally)
}

struct Stage<'a> {
    folder: PathBuf,
    own: Vec<String>,
    home: PathBuf,
    env: &'a [Variable],
    variables: Variables,
}

impl Stage<'_> {
    fn step(&self, step: &Step, running: &mut HashMap<String, Program>) -> Result<()> {
        let until = Instant::now() + step.limit;
        match &step.action {
            Action::Run { line, env, background } => {
                let mut program = self.start(line, env)?;
                if *background {
                    let outcome = program.expect(step, until);
                    running.insert(step.name.clone(), program);
                    return outcome;
                }
                program.finish(until)?;
                program.judge(step)
            }
            Action::Wait(name) => program(running, name)?.expect(step, until),
            Action::Stop(name) => {
                program(running, name)?;
                let Some(program) = running.remove(name) else { return Ok(()) };
                program.stop()?.judge(step)
            }
            Action::Kill(name) => {
                program(running, name)?;
                if let Some(program) = running.remove(name) {
                    program.group.kill();
                }
                Ok(())
            }
        }
    }

    fn start(&self, line: &[String], env: &[(String, String)]) -> Result<Program> {
        let (name, arguments) = line.split_first().ok_or("an empty cmd")?;
        let path = if self.own.contains(name) { self.folder.join(name) } else { PathBuf::from(name) };
        let mut command = Command::new(path);
        for argument in arguments {
            command.arg(self.variables.fill(argument)?);
        }
        command.env("MICRO_HOME", &self.home).envs(self.env.iter().map(|(n, v)| (n, v)));
        // What the step says is said last.
        for (name, value) in env {
            command.env(name, self.variables.fill(value)?);
        }
        let mut group = Group::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
        let lines = group.lines();
        Ok(Program { group, lines, printed: Vec::new(), read: 0, exit: None })
    }
}

fn program<'a>(running: &'a mut HashMap<String, Program>, name: &str) -> Result<&'a mut Program> {
    running.get_mut(name).ok_or_else(|| format!("no background step is called {name}"))
}

impl Program {
    /// Waits until all that is expected was printed, after what was matched before.
    fn expect(&mut self, step: &Step, until: Instant) -> Result<()> {
        loop {
            let open = self.lines.recv_timeout(PAUSE);
            match open {
                Ok(line) => self.printed.push(line),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            self.printed.extend(self.lines.try_iter());
            self.refuse(step)?;
            match matched(&self.printed[self.read..], &step.expect) {
                Ok(lines) => {
                    self.read += lines;
                    return Ok(());
                }
                Err(missing) => {
                    if let Some(exit) = self.group.ended()? {
                        return Err(self.tell(&format!("it ended ({exit}) without printing {missing:?}")));
                    }
                    if Instant::now() > until {
                        return Err(self.tell(&format!("it did not print {missing:?} in time")));
                    }
                }
            }
        }
    }

    /// Waits for its end.
    fn finish(&mut self, until: Instant) -> Result<()> {
        let limit = until.saturating_duration_since(Instant::now());
        match self.group.wait(limit) {
            Ok(exit) => self.exit = Some(exit),
            Err(text) => {
                self.printed.extend(self.lines.try_iter());
                return Err(self.tell(&text));
            }
        }
        self.rest();
        Ok(())
    }

    fn stop(mut self) -> Result<Self> {
        let Self { group, lines, printed, .. } = &mut self;
        match group.stop() {
            Ok(exit) => self.exit = Some(exit),
            Err(text) => {
                printed.extend(lines.try_iter());
                return Err(self.tell(&text));
            }
        }
        self.rest();
        Ok(self)
    }

    /// Lines still in the pipe. A grandchild may hold it open: what it prints then is not waited for long.
    fn rest(&mut self) {
        let until = Instant::now() + Duration::from_secs(2);
        while Instant::now() < until {
            match self.lines.recv_timeout(PAUSE) {
                Ok(line) => self.printed.push(line),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Whether an ended program did what the step says.
    fn judge(&mut self, step: &Step) -> Result<()> {
        self.refuse(step)?;
        if let Err(missing) = matched(&self.printed[self.read..], &step.expect) {
            return Err(self.tell(&format!("it ended without printing {missing:?}")));
        }
        match self.exit {
            Some(exit) if exit.code() != Some(step.exit) => {
                Err(self.tell(&format!("it ended with {exit}, not with {}", step.exit)))
            }
            _ => Ok(()),
        }
    }

    fn refuse(&self, step: &Step) -> Result<()> {
        match step.absent.iter().find(|text| self.printed.iter().any(|line| line.contains(*text))) {
            Some(text) => Err(self.tell(&format!("it printed {text:?}"))),
            None => Ok(()),
        }
    }

    fn tell(&self, what: &str) -> String {
        let from = self.printed.len().saturating_sub(TAIL);
        let tail: Vec<String> = self.printed[from..].iter().map(|line| format!("        | {line}")).collect();
        format!("        {what}; its last lines:\n{}", tail.join("\n"))
    }
}

/// How many lines it takes to find all texts, in order, each in a line of its own; or the first that is missing.
fn matched<'a>(lines: &[String], texts: &'a [String]) -> Result<usize, &'a str> {
    let mut at = 0;
    for text in texts {
        match lines[at..].iter().position(|line| line.contains(text.as_str())) {
            Some(found) => at += found + 1,
            None => return Err(text),
        }
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(plan: &str) -> (Tally, String) {
        let package = Package {
            name: format!("shell{:?}", std::thread::current().id()).replace(['(', ')'], ""),
            folder: "examples/shell".into(),
            license: None,
            programs: Vec::new(),
            dependencies: Vec::new(),
        };
        let plan = Plan::parse(plan).unwrap();
        (play(&package, &plan, Path::new("target"), &[("MICRO_TEST_STAGE", "lit".into())]).unwrap(), package.name)
    }

    #[test]
    fn an_example_that_prints_what_it_should_passes() {
        let (tally, _) = run("[[step]]\ncmd = [\"sh\", \"-c\", \"echo one; echo two\"]\nexpect = [\"one\", \"two\"]");
        assert_eq!((tally.passed, tally.failed), (1, 0));
    }

    #[test]
    fn a_program_gets_the_variables_of_the_run() {
        let (tally, _) = run("[[step]]\ncmd = [\"sh\", \"-c\", \"echo $MICRO_TEST_STAGE\"]\nexpect = [\"lit\"]");
        assert_eq!((tally.passed, tally.failed), (1, 0));
    }

    #[test]
    fn wrong_order_wrong_exit_and_refused_lines_fail() {
        for step in [
            "cmd = [\"sh\", \"-c\", \"echo one; echo two\"]\nexpect = [\"two\", \"one\"]",
            "cmd = [\"sh\", \"-c\", \"exit 3\"]",
            "cmd = [\"sh\", \"-c\", \"echo panicked\"]\nabsent = [\"panicked\"]",
            "cmd = [\"sleep\", \"600\"]\ntimeout = 0",
        ] {
            let (tally, _) = run(&format!("[[step]]\n{step}\n[[step]]\ncmd = [\"true\"]"));
            assert_eq!((tally.passed, tally.failed), (0, 2), "{step}");
        }
    }

    #[test]
    fn a_background_program_is_waited_for_and_stopped() {
        let script = "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.05; done";
        let (tally, _) = run(&format!(
            "[[step]]\nname = \"s\"\ncmd = [\"bash\", \"-c\", \"{script}\"]\nbackground = true\nexpect = [\"up\"]\n\
             [[step]]\nstop = \"s\"\nexpect = [\"bye\"]\nexit = 7"
        ));
        assert_eq!((tally.passed, tally.failed), (2, 0));
    }
}
