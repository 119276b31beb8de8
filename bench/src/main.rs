//! Measures ours beside its peer, in the same run: `micro-bench [--quick] [NAME]…`.
//!
//! Rounds alternate over all variants, client and server are processes of their own, CPU is what the kernel counted for
//! all threads of both, and every sample knows how much of the machine others used meanwhile. A cell of a page is the
//! median of its five quietest rounds.
#![allow(clippy::print_stdout, reason = "a command line tool talks to its user there")]

mod child;
mod driver;
mod echo;
mod kafka;
mod log;
mod machine;
mod meter;
mod ours;
mod page;
mod rounds;
mod selection;
mod start;
mod stream;
mod survival;
mod tonic_peer;
mod unary;

use std::process::ExitCode;

use page::Verdict;

/// The error is the text that the user reads.
type Result<T, E = String> = std::result::Result<T, E>;

/// A row: what measures it.
type Row = (&'static str, fn() -> Result<Verdict>);

const ROWS: &[Row] = &[
    ("allocs", run_allocs),
    ("unary", unary::run),
    ("stream", stream::run),
    ("log", log::run),
    ("kafka", kafka::run),
    ("start", start::run),
    ("selection", selection::run),
    ("survival", survival::run),
];

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((role, rest)) = child::role(&arguments) {
        return finish(role, play(role, rest));
    }
    if arguments.iter().any(|argument| argument == "--quick") {
        rounds::be_quick();
        arguments.retain(|argument| argument != "--quick");
    }
    if let Some(unknown) = arguments.iter().find(|name| !ROWS.iter().any(|(row, _)| row == name)) {
        let known: Vec<_> = ROWS.iter().map(|(name, _)| *name).collect();
        eprintln!("micro-bench: there is no row {unknown}; there are: {}", known.join(", "));
        return ExitCode::from(2);
    }
    let mut code = ExitCode::SUCCESS;
    for (name, row) in ROWS.iter().filter(|(name, _)| arguments.is_empty() || arguments.iter().any(|a| a == name)) {
        let outcome = row().map(|verdict| verdict != Verdict::Missed);
        let failed = !matches!(outcome, Ok(true));
        if let Err(text) = outcome {
            eprintln!("micro-bench {name}: {text}");
        }
        if failed {
            code = ExitCode::FAILURE;
        }
    }
    code
}

/// What a child process of a row does.
fn play(role: &str, arguments: &[String]) -> Result<()> {
    match role {
        "unary-server" => unary::server(arguments),
        "unary-client" => unary::client(arguments),
        "selection-server" => selection::server(arguments),
        "selection-client" => selection::client(arguments),
        "survival-node" => survival::node(arguments),
        "survival-caller" => survival::caller(arguments),
        "survival-scale" => survival::scale(arguments),
        "stream-server" => stream::server(arguments),
        "stream-client" => stream::client(arguments),
        "log-client" => log::client_role(arguments),
        "kafka-client" => kafka::client_role(arguments),
        "log-subscriber" => log::subscriber(arguments),
        _ => Err("unknown role".to_owned()),
    }
}

fn finish(role: &str, outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("micro-bench {role}: {text}");
            ExitCode::FAILURE
        }
    }
}

/// The counting allocator is in a program of its own, beside this one.
fn run_allocs() -> Result<Verdict> {
    let program = child::beside("micro-bench-allocs")?;
    let output = std::process::Command::new(&program).output().map_err(|e| format!("{}: {e}", program.display()))?;
    if !output.status.success() {
        return Err(format!("{} {}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    page::allocations(&String::from_utf8_lossy(&output.stdout))
}
