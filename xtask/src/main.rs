//! Checks, tests, benches and generated pages of the project: `cargo xtask <command>`.
#![allow(clippy::print_stdout, reason = "a command line tool talks to its user there")]

mod bench;
mod check;
mod command;
mod consul;
mod examples;
mod features;
mod flights;
mod guarantees;
mod kafka;
mod peer;
mod services;
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
cargo xtask guarantees           runs the conformance suites of all plugins and writes docs/guarantees.md
cargo xtask soak [ROUNDS]        kills processes and servers at random, 200 rounds on each broker, and writes docs/soak.md
cargo xtask bench [NAME]…        measures, each row beside its peer, into docs/bench; exits 1 where a ratio is missed;
                                 --quick tries the rows in one round and writes nothing
cargo xtask services             runs the servers that tests share, and prints the variables by which tests find them
cargo xtask fetch NAME           makes sure that cargo-nextest, cargo-deny, flights (data), go-peer (interop),
                                 consul or kafka [VERSION] is there and prints its path";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = arguments.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    let outcome = match command {
        "check" => check::run(),
        "test" => test::run(rest),
        "examples" => examples::run(rest),
        "features" => features::run(rest),
        "guarantees" => test::guarantees(),
        "soak" => test::soak::run(rest),
        "bench" => bench::run(rest),
        "services" => services::run(),
        "fetch" => fetch(rest),
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

/// Prints the path of something that tests or checks need, once it is there.
fn fetch(arguments: &[String]) -> Result<bool> {
    let (name, version) = match arguments {
        [name] => (name, None),
        [name, version] if name == "kafka" => (name, Some(version)),
        _ => return Err("which one? A version only comes after kafka".to_owned()),
    };
    let path = match name.as_str() {
        "kafka" => version.map_or_else(kafka::ensure, |version| kafka::fetch(version))?,
        "consul" => consul::ensure()?,
        "flights" => flights::ensure()?,
        "go-peer" => peer::ensure(&workspace::Workspace::load()?)?.ok_or("this checkout has no interop")?,
        tool => tools::ensure(tool)?,
    };
    println!("{}", path.display());
    Ok(true)
}
