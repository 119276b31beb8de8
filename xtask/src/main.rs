//! Checks, tests, benches and generated pages of the project: `cargo xtask <command>`.
#![allow(clippy::print_stdout, reason = "a command line tool talks to its user there")]

mod bench;
mod check;
mod command;
mod examples;
mod features;
mod flights;
mod peer;
mod test;
mod tools;
mod workspace;

use std::process::ExitCode;

/// What a command gives back: the error is the text that the user reads.
type Result<T, E = String> = std::result::Result<T, E>;

const USAGE: &str = "\
cargo xtask check                proves the house rules: arrows between crates, files, manifests, plugins, features page
cargo xtask test [-- ARGS]       every test, doc test and example; with ARGS only `cargo nextest run ARGS`
cargo xtask examples [NAME]…     runs the examples and checks what they print
cargo xtask features [--check]   writes docs/features.md from the tests' tags, or says whether it is up to date
cargo xtask bench [NAME]…        measures, each row beside its peer, into docs/bench; exits 1 where a ratio is missed
cargo xtask tool NAME            makes sure that cargo-nextest or cargo-deny is there and prints its path";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = arguments.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    let outcome = match command {
        "check" => check::run(),
        "test" => test::run(rest),
        "examples" => examples::run(rest),
        "features" => features::run(rest),
        "bench" => bench::run(rest),
        "tool" => tools::run(rest),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(text) => {
            eprintln!("xtask {command}: {text}");
            ExitCode::FAILURE
        }
    }
}
