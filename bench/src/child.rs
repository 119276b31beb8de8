//! Child processes: the same program in a role, talking by lines.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child as Process, ChildStdin, ChildStdout, Command, Stdio};

use crate::Result;

const ROLE: &str = "--role";

/// A child; killed when dropped.
#[derive(Debug)]
pub(crate) struct Child {
    process: Process,
    /// Held open: a child ends when it closes.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// The role that this process was started in, with its arguments.
pub(crate) fn role(arguments: &[String]) -> Option<(&str, &[String])> {
    match arguments {
        [flag, role, rest @ ..] if flag == ROLE => Some((role, rest)),
        _ => None,
    }
}

/// A program that was built beside this one.
pub(crate) fn beside(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().map_err(|e| format!("where am I? {e}"))?;
    Ok(own.with_file_name(name))
}

impl Child {
    /// Starts this program in a role.
    pub(crate) fn start(role: &str, arguments: &[&str]) -> Result<Self> {
        let own = std::env::current_exe().map_err(|e| format!("where am I? {e}"))?;
        let mut command = Command::new(own);
        command.args([ROLE, role]).args(arguments);
        Self::run(&mut command).map_err(|text| format!("{role}: {text}"))
    }

    /// Starts a program that talks by lines as well.
    pub(crate) fn run(command: &mut Command) -> Result<Self> {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("cannot start {}: {e}", command.get_program().display()))?;
        let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err("it has no pipes".to_owned());
        };
        Ok(Self { process, input: Some(input), output: BufReader::new(output) })
    }

    /// Tells it a line.
    pub(crate) fn tell(&mut self, line: &str) -> Result<()> {
        let input = self.input.as_mut().ok_or("it was told to end")?;
        writeln!(input, "{line}").map_err(|e| format!("the child process takes no line: {e}"))
    }

    /// Has it end by itself, and waits for that.
    pub(crate) fn end(mut self) -> Result<()> {
        self.input = None;
        let status = self.process.wait().map_err(|e| e.to_string())?;
        if status.success() { Ok(()) } else { Err(format!("the child process: {status}")) }
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        match self.output.read_line(&mut line) {
            Ok(0) => Err("the child process ended".to_owned()),
            Ok(_) => Ok(line.trim_end().to_owned()),
            Err(error) => Err(format!("the child process: {error}")),
        }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits, in a child, until its parent is gone or closes the pipe.
pub(crate) fn until_parent_ends() {
    for line in std::io::stdin().lines() {
        if line.is_err() {
            break;
        }
    }
}
