//! Row `start`: from exec to the first answer, and memory at rest, of the greeter example.

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::child::{Child, beside};
use crate::page::{Goal, Page, Verdict};
use crate::rounds::median;
use crate::{Result, meter};

const STARTS: usize = 7;
const LIMIT: Duration = Duration::from_secs(20);
/// After the start: the registry has been written, and first buffers are gone.
const REST: Duration = Duration::from_secs(2);
const MEBIBYTE: f64 = 1_048_576.0;

/// What one start gave.
struct Start {
    milliseconds: f64,
    resident: f64,
}

/// Measures and writes the page.
pub(crate) fn run() -> Result<Verdict> {
    let (mut greeters, mut peers) = (Vec::new(), Vec::new());
    for at in 0..STARTS {
        greeters.push(greeter()?);
        peers.push(peer()?);
        eprintln!("start {} of {STARTS}", at + 1);
    }
    let mut page = Page::new(
        "start",
        "Start and rest",
        "The greeter example with its defaults (server, embedded and mDNS registry, embedded broker, health, reflection), and\n\
         a bare tonic server, each started seven times in turn. `listening` is from exec until a connection is taken;\n\
         memory is the resident set two seconds later.",
        &["tonic", "tokio"],
    );
    let of = |starts: &[Start], value: fn(&Start) -> f64| median(starts.iter().map(value).collect());
    let (resident, bare) = (of(&greeters, |s| s.resident), of(&peers, |s| s.resident));
    let goal = page.judge(resident, Goal::AtMost(15.0), 0.0);
    let time = |starts: &[Start]| format!("{:.1}", of(starts, |s| s.milliseconds));
    page.table(
        &["program", "listening, ms", "resident, MiB", "goal"],
        &[
            vec!["greeter".to_owned(), time(&greeters), format!("{resident:.1}"), goal],
            vec!["tonic, bare".to_owned(), time(&peers), format!("{bare:.1}"), String::new()],
        ],
    );
    page.finish()
}

fn peer() -> Result<Start> {
    let start = Instant::now();
    let mut child = Child::start("unary-server", &["tonic"])?;
    let address = child.line()?;
    TcpStream::connect(&address).map_err(|e| format!("{address}: {e}"))?;
    let milliseconds = start.elapsed().as_secs_f64() * 1e3;
    thread::sleep(REST);
    Ok(Start { milliseconds, resident: meter::resident(child.pid()) as f64 / MEBIBYTE })
}

/// Starts the greeter in a home of its own, and reads the address from its log.
fn greeter() -> Result<Start> {
    let program = beside("greeter-server")?;
    let home = tempfile::tempdir().map_err(|e| e.to_string())?;
    let start = Instant::now();
    let child = Command::new(&program)
        .env("MICRO_HOME", home.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{}: {e} (cargo build --release -p greeter)", program.display()))?;
    let mut child = Ended(child);
    let log = BufReader::new(child.0.stderr.take().ok_or("no log")?);
    let mut lines = log.lines();
    let port = loop {
        if start.elapsed() > LIMIT {
            return Err("the greeter does not listen".to_owned());
        }
        let line = lines.next().ok_or("the greeter ended")?.map_err(|e| e.to_string())?;
        if let Some((_, address)) = line.split_once("Listening on ") {
            break address.trim().rsplit(':').next().unwrap_or_default().to_owned();
        }
    };
    thread::spawn(move || lines.map_while(std::result::Result::ok).for_each(drop));
    TcpStream::connect(format!("127.0.0.1:{port}")).map_err(|e| format!("port {port}: {e}"))?;
    let milliseconds = start.elapsed().as_secs_f64() * 1e3;
    thread::sleep(REST);
    Ok(Start { milliseconds, resident: meter::resident(child.0.id()) as f64 / MEBIBYTE })
}

/// A process that is killed when it is no longer needed.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
