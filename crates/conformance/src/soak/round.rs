//! One round: programs started, killed and started again, until everything is handled.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use micro_faults::Process;

use super::book::{self, Entry, now};
use super::plan::{Plan, Soak, Target};
use super::role::{ENOUGH, OVER, TASK, Task, sign};
use super::verdict::{Life, Tally, judge, unfinished};
use super::{CONSUMERS, Fixture, PUBLISHERS};
use crate::failed::ensure;
use crate::{Failed, Limits};

/// How long everything may take that is left when nobody is killed any more.
const LIMIT: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(20);

/// What a round came to, with whom it killed.
#[derive(Debug, Default)]
pub(super) struct Played {
    pub(super) tally: Tally,
    pub(super) killed: Vec<Target>,
}

/// A program, and those that ran in its place before.
#[derive(Debug)]
struct Place {
    target: Target,
    running: Option<Process>,
    /// The books of all that ran here, with the time at which each was killed.
    books: Vec<(PathBuf, Option<Duration>)>,
}

pub(super) fn play(soak: &Soak, seed: u64, fixture: &dyn Fixture, folder: &Path) -> Result<Played, Failed> {
    let plan = Plan::new(seed, fixture);
    let random = uuid::Uuid::new_v4().simple().to_string();
    let mut round =
        Round { soak, seed, plan: &plan, fixture, folder, name: random[..12].to_owned(), places: Vec::new() };
    for target in (0..PUBLISHERS).map(Target::Publisher).chain((0..CONSUMERS).map(Target::Consumer)) {
        round.places.push(Place { target, running: None, books: Vec::new() });
    }
    for place in 0..round.places.len() {
        round.start(place)?;
    }
    let (server, killed) = round.trouble()?;
    round.settle(&server)?;
    let tally = judge(&round.lives()?, &server, plan.ordered)?;
    ensure!(tally.confirmed > 0, "nothing was published at all");
    Ok(Played { tally, killed })
}

struct Round<'a> {
    soak: &'a Soak,
    seed: u64,
    plan: &'a Plan,
    fixture: &'a dyn Fixture,
    folder: &'a Path,
    name: String,
    places: Vec<Place>,
}

impl Round<'_> {
    fn start(&mut self, place: usize) -> Result<(), Failed> {
        let life = self.places[place].books.len();
        let (publish, book) = match self.places[place].target {
            Target::Publisher(publisher) => {
                (Some((publisher, self.next(place)?)), format!("publisher-{publisher}-{life}"))
            }
            Target::Consumer(consumer) => (None, format!("consumer-{consumer}-{life}")),
            Target::Server => return Ok(()),
        };
        let task = Task {
            publish,
            ordered: self.plan.ordered,
            seed: self.seed.wrapping_add((place * 1000 + life) as u64),
            lease: self.fixture.lease(),
            topic: format!("soak-{}", self.name),
            queue: format!("soak-{}", self.name),
            folder: self.folder.to_owned(),
            book: book.clone(),
            address: self.fixture.address(),
        };
        let program = std::env::current_exe().map_err(|error| failed("the program's own path", &error))?;
        let mut command = Command::new(program);
        command.args(["--exact", &self.soak.role, "--nocapture"]).env(TASK, task.to_line());
        let log = self.folder.join(format!("{book}.log"));
        let process = Process::start(&book, &mut command, &log).map_err(|error| Failed::new(error.to_string()))?;
        self.places[place].running = Some(process);
        self.places[place].books.push((self.folder.join(book), None));
        Ok(())
    }

    /// The number with which a publisher goes on: behind all that was tried before.
    fn next(&self, place: usize) -> Result<u64, Failed> {
        let mut next = 0;
        for (path, _) in &self.places[place].books {
            for entry in book::read(path).map_err(|error| failed("a book", &error))? {
                if let Entry::Try(id) = entry {
                    next = next.max(id.number + 1);
                }
            }
        }
        Ok(next)
    }

    /// Kills as planned; returns when the server was killed, and who was.
    fn trouble(&mut self) -> Result<(Vec<Duration>, Vec<Target>), Failed> {
        let begin = Instant::now();
        let (mut server, mut killed) = (Vec::new(), Vec::new());
        for kill in &self.plan.kills {
            std::thread::sleep(kill.at.saturating_sub(begin.elapsed()));
            killed.push(kill.target);
            let place = self.places.iter().position(|place| place.target == kill.target);
            let Some(place) = place else {
                let Some(fixture) = self.fixture.server() else { continue };
                server.push(now());
                fixture.kill();
                std::thread::sleep(kill.away);
                fixture.start();
                continue;
            };
            self.is_alive(place)?;
            let at = now();
            if let Some(mut running) = self.places[place].running.take() {
                running.kill();
            }
            if let Some((_, killed)) = self.places[place].books.last_mut() {
                *killed = Some(at);
            }
            std::thread::sleep(kill.away);
            self.start(place)?;
        }
        std::thread::sleep(self.fixture.trouble().saturating_sub(begin.elapsed()));
        Ok((server, killed))
    }

    /// Lets everything be handled in peace, and ends the programs.
    fn settle(&mut self, server: &[Duration]) -> Result<(), Failed> {
        let until = Instant::now() + LIMIT;
        sign(self.folder, ENOUGH).map_err(|error| failed("a sign", &error))?;
        self.end(until, |target| matches!(target, Target::Publisher(_)))?;
        loop {
            let open = unfinished(&self.lives()?, server);
            if open.is_empty() {
                break;
            }
            ensure!(Instant::now() < until, "{} with a receipt were not handled within {LIMIT:?}", open.len());
            for place in 0..self.places.len() {
                if matches!(self.places[place].target, Target::Consumer(_)) {
                    self.is_alive(place)?;
                }
            }
            std::thread::sleep(PAUSE);
        }
        // What comes although it is done would come now.
        std::thread::sleep(Limits::default().absent);
        sign(self.folder, OVER).map_err(|error| failed("a sign", &error))?;
        self.end(until, |_| true)
    }

    fn end(&mut self, until: Instant, whom: impl Fn(Target) -> bool) -> Result<(), Failed> {
        for place in self.places.iter_mut().filter(|place| whom(place.target)) {
            let Some(running) = &mut place.running else { continue };
            let left = until.saturating_duration_since(Instant::now());
            running.finish(left).map_err(|error| Failed::new(error.to_string()))?;
            place.running = None;
        }
        Ok(())
    }

    /// Nobody ends before it is told.
    fn is_alive(&mut self, place: usize) -> Result<(), Failed> {
        let Place { target, running, .. } = &mut self.places[place];
        let Some(running) = running else { return Ok(()) };
        ensure!(running.is_running(), "{target:?} ended by itself:\n{}", running.tail());
        Ok(())
    }

    fn lives(&self) -> Result<Vec<Life>, Failed> {
        let mut lives = Vec::new();
        for (path, killed) in self.places.iter().flat_map(|place| &place.books) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let entries = book::read(path).map_err(|error| failed("a book", &error))?;
            lives.push(Life { name, killed: *killed, entries });
        }
        Ok(lives)
    }
}

fn failed(what: &str, error: &std::io::Error) -> Failed {
    Failed::new(format!("{what}: {error}"))
}
