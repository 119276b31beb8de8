//! A node: a process of its own that can be told to fail, stopped and killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use micro_core::{Error, Kind};
use micro_rpc::{Endpoint, Server, ServerOptions};

use crate::Result;
use crate::child::Child;
use crate::echo::Echo;

/// How long running calls may take when it stops.
const DRAIN: Duration = Duration::from_secs(10);

/// A node as its parent has it. Dropped, it is killed.
pub(super) struct Node {
    pub(super) child: Child,
    pub(super) address: String,
    answer: Duration,
}

impl Node {
    /// Starts a node at an address that answers after so long.
    pub(super) fn start(address: &str, answer: Duration) -> Result<Self> {
        let mut child = Child::start("survival-node", &[address, &answer.as_micros().to_string()])?;
        let address = child.line()?;
        Ok(Self { child, address, answer })
    }

    /// Stops it as a deployment does, and starts another in its place.
    pub(super) fn restart(self) -> Result<Self> {
        let (address, answer) = (self.address.clone(), self.answer);
        self.child.end()?;
        Self::start(&address, answer)
    }

    /// Returns how many tries it has had.
    pub(super) fn tries(&mut self) -> Result<u64> {
        self.child.tell("count")?;
        self.child.line()?.parse().map_err(|e| format!("a count: {e}"))
    }
}

/// The process: serves until its input ends, and does what the lines say.
pub(crate) fn node(arguments: &[String]) -> Result<()> {
    let [address, answer] = arguments else { return Err("an address and microseconds".to_owned()) };
    let answer = Duration::from_micros(answer.parse().map_err(|e| format!("{answer}: {e}"))?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let (tries, fails) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
    let (count, failing) = (Arc::clone(&tries), Arc::clone(&fails));
    let mut server = Server::new(ServerOptions::new("bench").address(address.clone()));
    server.handle(Endpoint::unary("Echo.Unary", move |_, echo: Echo| {
        count.fetch_add(1, Ordering::SeqCst);
        let fails = failing.load(Ordering::SeqCst);
        async move {
            tokio::time::sleep(answer).await;
            if fails { Err(Error::new(Kind::Unavailable, "told to fail")) } else { Ok(echo) }
        }
    }));
    let running = runtime.block_on(server.start()).map_err(|e| e.to_string())?;
    println!("{}", running.address());
    for line in std::io::stdin().lines() {
        match line.as_deref() {
            Ok("fail") => fails.store(true, Ordering::SeqCst),
            Ok("well") => fails.store(false, Ordering::SeqCst),
            Ok("count") => println!("{}", tries.load(Ordering::SeqCst)),
            Ok(other) => return Err(format!("what is {other}?")),
            Err(_) => break,
        }
    }
    match runtime.block_on(running.stop(DRAIN)) {
        0 => Ok(()),
        cut => Err(format!("{cut} calls were cut off")),
    }
}
