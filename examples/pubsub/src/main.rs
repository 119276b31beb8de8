//! Shows both ways of listening, with one publisher and two subscribers: `cargo run -p pubsub`.
//!
//! topic1 goes to everybody. topic2 is shared by a queue: when a member joins it gets a share, when one is killed the
//! other takes it over.
//!
//! Flags go on to the programs: `-- --broker kafka --broker_address HOST:PORT`, built with `--features kafka`.
#![expect(clippy::print_stdout, reason = "what was seen is the output")]

mod process;

use std::collections::HashSet;
use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use process::{Process, Stage};

/// How many messages of topic2 a member must take before its share is believed.
const SHARE: usize = 4;
const LIMIT: Duration = Duration::from_secs(60);

fn main() -> Result<(), Box<dyn Error>> {
    // A flag that is wrong, or asks for a broker that this build has not, is said here and not by each program.
    let _ = micro::Service::new("pubsub")?;
    let stage = Stage { home: tempfile::tempdir()?, run: format!("{:08x}", uuid::Uuid::new_v4().as_fields().0) };
    let subscriber = |name| Process::start(name, "pubsub-subscriber", &[], &stage);

    let mut sub1 = subscriber("sub1")?;
    let mut publisher = Process::start("pub", "pubsub-publisher", &["--every", "200"], &stage)?;
    until("sub1, alone, takes all of topic2", || sub1.ids().topic2.len() >= SHARE)?;

    let mut sub2 = subscriber("sub2")?;
    let before = sub1.ids().topic2;
    let new = |ids: HashSet<String>| ids.difference(&before).count();
    until("sub2 joined: topic2 is shared", || new(sub1.ids().topic2) >= SHARE && sub2.ids().topic2.len() >= SHARE)?;
    until("topic1 goes to both", || sub1.ids().topic1.intersection(&sub2.ids().topic1).count() >= SHARE)?;
    let twice = sub1.ids().topic2.intersection(&sub2.ids().topic2).count();
    if twice > 0 {
        return Err(format!("{twice} messages of topic2 went to both members of the queue").into());
    }
    println!("no message of topic2 went to both");

    sub2.kill()?;
    let published = publisher.ids().topic2.len();
    until("sub2 was killed: sub1 takes all of topic2 again", || publisher.ids().topic2.len() >= published + 3 * SHARE)?;
    publisher.stop()?;
    until("every message of topic2 was taken", || {
        let taken = sub1.ids().topic2;
        publisher.ids().topic2.iter().all(|id| taken.contains(id) || sub2.ids().topic2.contains(id))
    })?;
    sub1.stop()?;
    println!(
        "Now by hand, in three terminals: cargo run -p pubsub --bin pubsub-subscriber (twice), and pubsub-publisher"
    );
    Ok(())
}

/// Waits until something is so, and says that it is.
fn until(what: &str, so: impl Fn() -> bool) -> Result<(), Box<dyn Error>> {
    let began = Instant::now();
    while !so() {
        if began.elapsed() > LIMIT {
            return Err(format!("waited {LIMIT:?} in vain until {what}").into());
        }
        thread::sleep(Duration::from_millis(50));
    }
    println!("{what}");
    Ok(())
}
