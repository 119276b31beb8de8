use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use micro_core::{Error, Kind, Result};
use micro_engine::{Durability, Job, Storage, Work, Writer};

const LONG: Duration = Duration::from_secs(30);

/// What happened: a number was applied, a transaction was committed with or without a sync, or it failed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Begin,
    Sync,
    Done(Vec<u32>),
    Failed(Vec<u32>, Kind),
}

struct Number {
    number: u32,
    lazy: bool,
    weight: usize,
}

impl Number {
    fn new(number: u32) -> Self {
        Self { number, lazy: false, weight: 1 }
    }
}

impl Job for Number {
    fn weight(&self) -> usize {
        self.weight
    }
    fn durability(&self) -> Durability {
        if self.lazy { Durability::Written } else { Durability::Synced }
    }
    fn lazy(&self) -> bool {
        self.lazy
    }
}

/// A store that begins slowly.
struct Slow(Sender<Seen>);

impl Storage for Slow {
    fn begin(&mut self) -> Result<()> {
        let _ = self.0.send(Seen::Begin);
        std::thread::sleep(Duration::from_millis(30));
        Ok(())
    }
    fn commit(&mut self) -> Result<()> {
        Ok(())
    }
    fn roll_back(&mut self) {}
    fn sync(&mut self) -> Result<()> {
        let _ = self.0.send(Seen::Sync);
        Ok(())
    }
}

/// It refuses the number 13, and has a defect with 666 and another one with 999.
struct Collect(Sender<Seen>);

impl Work for Collect {
    type Job = Number;
    type Storage = Slow;

    fn apply(&mut self, _: &mut Slow, jobs: &mut [Number]) -> Result<()> {
        assert!(jobs.iter().all(|job| job.number != 666), "666 came");
        match jobs.iter().any(|job| job.number == 13) {
            true => Err(Error::new(Kind::DiskFull, "no room for 13")),
            false => Ok(()),
        }
    }
    fn seen(&mut self) {}
    fn committed(&mut self, jobs: Vec<Number>) {
        assert!(jobs.iter().all(|job| job.number != 999), "999 came");
        let _ = self.0.send(Seen::Done(jobs.iter().map(|job| job.number).collect()));
    }
    fn failed(&mut self, jobs: Vec<Number>, error: &Error) {
        let _ = self.0.send(Seen::Failed(jobs.iter().map(|job| job.number).collect(), error.kind()));
    }
}

fn start() -> (Writer<Number>, std::sync::mpsc::Receiver<Seen>) {
    let (sender, seen) = channel();
    (Writer::start("test", Slow(sender.clone()), Collect(sender)).unwrap(), seen)
}

#[test]
fn what_waits_goes_into_one_transaction_with_one_sync() {
    let (writer, seen) = start();
    writer.push(Number::new(100)).ok().unwrap();
    assert_eq!(seen.recv_timeout(LONG), Ok(Seen::Begin));
    std::thread::sleep(Duration::from_millis(100));
    for number in 101..200 {
        writer.push(Number::new(number)).ok().unwrap();
    }
    drop(writer);
    let seen: Vec<_> = seen.iter().collect();
    let done: Vec<u32> =
        seen.iter().flat_map(|seen| if let Seen::Done(jobs) = seen { jobs.clone() } else { vec![] }).collect();
    assert_eq!(done, (100..200).collect::<Vec<_>>(), "a dropped writer writes what is queued, in order");
    assert!(seen.iter().filter(|seen| **seen == Seen::Sync).count() <= 4, "{seen:?}");
}

#[test]
fn a_batch_that_fails_fails_as_a_whole_and_the_next_one_goes_on() {
    let (writer, seen) = start();
    writer.push(Number::new(13)).ok().unwrap();
    assert_eq!(seen.recv_timeout(LONG), Ok(Seen::Begin));
    assert_eq!(seen.recv_timeout(LONG), Ok(Seen::Failed(vec![13], Kind::DiskFull)));
    writer.push(Number::new(14)).ok().unwrap();
    assert!(seen.iter().any(|seen| seen == Seen::Done(vec![14])));
}

#[test]
fn lazy_jobs_are_written_without_a_sync_and_without_company() {
    let (writer, seen) = start();
    writer.push(Number { lazy: true, ..Number::new(1) }).ok().unwrap();
    assert_eq!(seen.recv_timeout(LONG), Ok(Seen::Begin));
    assert_eq!(seen.recv_timeout(LONG), Ok(Seen::Done(vec![1])));
}

#[tokio::test]
async fn a_full_queue_makes_ready_wait_and_at_last_refuses() {
    let (writer, _seen) = start();
    let heavy = |number| Number { weight: 40 << 20, ..Number::new(number) };
    let begun = Instant::now();
    writer.ready().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5));
    let mut refused = None;
    for number in 0..40 {
        if let Err((_, error)) = writer.push(heavy(number)) {
            refused = Some(error);
            break;
        }
    }
    let refused = refused.unwrap();
    assert!(refused.kind() == Kind::ResourceExhausted && refused.to_string().contains("ready()"), "{refused}");
    tokio::time::timeout(LONG, writer.ready()).await.unwrap().unwrap();
    writer.close();
    assert_eq!(writer.ready().await.unwrap_err().kind(), Kind::Closed);
    assert_eq!(writer.push(Number::new(1)).err().unwrap().1.kind(), Kind::Closed);
}

#[test]
fn a_panic_while_writing_fails_its_batch_and_the_next_one_goes_on() {
    let (writer, seen) = start();
    writer.push(Number::new(666)).ok().unwrap();
    assert_eq!(seen.recv_timeout(LONG), Ok(Seen::Begin));
    assert_eq!(seen.recv_timeout(LONG), Ok(Seen::Failed(vec![666], Kind::Internal)));
    writer.push(Number::new(14)).ok().unwrap();
    assert!(seen.iter().any(|seen| seen == Seen::Done(vec![14])));
    assert!(writer.closed().is_none());
}

#[tokio::test]
async fn a_thread_that_ended_by_a_panic_takes_nothing_more_and_says_why() {
    let (writer, seen) = start();
    writer.push(Number::new(999)).ok().unwrap();
    while seen.recv_timeout(LONG).is_ok() {}
    let end = Instant::now() + LONG;
    while writer.closed().is_none() {
        assert!(Instant::now() < end, "it never ends");
        std::thread::yield_now();
    }
    let refused = [writer.closed(), writer.ready().await.err(), writer.push(Number::new(1)).err().map(|(_, e)| e)];
    for error in refused {
        let error = error.unwrap();
        assert!(error.kind() == Kind::Unavailable && error.to_string().contains("panicked"), "{error}");
    }
}
