use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use micro_core::{Error, Result};

use crate::failure::{io_failure, panicked};
use crate::queue::{Closed, Queue};
use crate::storage::{Durability, Storage};

/// The least pause between two commits of nothing but lazy jobs.
const LAZY_PAUSE: Duration = Duration::from_millis(1);

/// One thing to write.
pub trait Job: Send + 'static {
    /// Returns the bytes it keeps in memory while it waits.
    fn weight(&self) -> usize;

    /// Returns how safe it must be before it is answered.
    fn durability(&self) -> Durability;

    /// Tells whether it may wait a millisecond for company.
    fn lazy(&self) -> bool {
        false
    }
}

/// What the writer thread does with the jobs; a plugin's side.
pub trait Work: Send + 'static {
    /// What is written.
    type Job: Job;
    /// Where it is written to.
    type Storage: Storage;

    /// Writes the jobs, within one transaction.
    ///
    /// # Errors
    ///
    /// The transaction is rolled back and every job of it fails. A failure of one job alone is kept in the job.
    fn apply(&mut self, storage: &mut Self::Storage, jobs: &mut [Self::Job]) -> Result<()>;

    /// Hears that the jobs are committed, though not yet safe against a power cut: the moment to wake others.
    fn seen(&mut self);

    /// Answers the jobs: they are stored, as safe as they asked for.
    fn committed(&mut self, jobs: Vec<Self::Job>);

    /// Answers the jobs: none of them is stored for good.
    fn failed(&mut self, jobs: Vec<Self::Job>, error: &Error);
}

/// The one thread of this process that writes a file.
///
/// Group commit: all that is waiting goes into one transaction with one sync, and is then answered together. Closed or
/// dropped, it writes what is queued and ends. A panic while it writes is rolled back and fails its batch alone.
#[derive(Debug)]
pub struct Writer<J: Job> {
    queue: Arc<Queue<J>>,
}

impl<J: Job> Writer<J> {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// If the system has no thread left.
    pub fn start<W: Work<Job = J>>(name: &str, storage: W::Storage, work: W) -> Result<Self> {
        let queue = Arc::new(Queue::new());
        let theirs = Arc::clone(&queue);
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let closing = CloseOnExit(&theirs);
                run(closing.0, storage, work);
            })
            .map_err(|error| io_failure(std::path::Path::new(name), "start the writer thread", &error))?;
        Ok(Self { queue })
    }

    /// Enqueues a job, at once.
    ///
    /// # Errors
    ///
    /// The job comes back: [`Kind::Closed`](micro_core::Kind::Closed) after [`close`](Self::close),
    /// [`Kind::ResourceExhausted`](micro_core::Kind::ResourceExhausted) with 256 MiB waiting.
    pub fn push(&self, job: J) -> Result<(), (J, Error)> {
        self.queue.push(job)
    }

    /// Waits until less than 16 MiB are waiting. Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`Kind::Closed`](micro_core::Kind::Closed) after [`close`](Self::close).
    pub async fn ready(&self) -> Result<()> {
        self.queue.ready().await
    }

    /// Takes no more jobs; what is queued is written yet.
    pub fn close(&self) {
        self.queue.close(Closed::Asked);
    }

    /// Returns why it takes no more jobs: [`Kind::Closed`](micro_core::Kind::Closed) after [`close`](Self::close),
    /// [`Kind::Unavailable`](micro_core::Kind::Unavailable) when its thread is gone. `None` while it works.
    #[must_use]
    pub fn closed(&self) -> Option<Error> {
        self.queue.closed()
    }
}

impl<J: Job> Drop for Writer<J> {
    fn drop(&mut self) {
        self.close();
    }
}

/// Nobody may wait for a thread that is gone, however it went.
struct CloseOnExit<'a, J: Job>(&'a Queue<J>);

impl<J: Job> Drop for CloseOnExit<'_, J> {
    fn drop(&mut self) {
        self.0.close(if thread::panicking() { Closed::Panicked } else { Closed::Asked });
        while !self.0.take().is_empty() {}
    }
}

fn run<W: Work>(queue: &Queue<W::Job>, mut storage: W::Storage, mut work: W) {
    let mut lazy_at = Instant::now();
    while queue.wait(lazy_at) {
        let mut jobs = Vec::new();
        // A panic costs its batch, not the writer: those who publish and subscribe have no other.
        let done = catch_unwind(AssertUnwindSafe(|| transact(queue, &mut storage, &mut work, &mut jobs)));
        let done = done.unwrap_or_else(|panic| {
            storage.roll_back();
            Err(panicked("writer", &*panic))
        });
        match done {
            Ok(()) => work.committed(jobs),
            Err(error) => {
                if jobs.is_empty() {
                    jobs = queue.take();
                }
                work.failed(jobs, &error);
            }
        }
        lazy_at = Instant::now() + LAZY_PAUSE;
    }
}

fn transact<W: Work>(
    queue: &Queue<W::Job>,
    storage: &mut W::Storage,
    work: &mut W,
    jobs: &mut Vec<W::Job>,
) -> Result<()> {
    storage.begin()?;
    // Taken when the turn has come: what came while others wrote goes along.
    *jobs = queue.take();
    work.apply(storage, jobs).inspect_err(|_| storage.roll_back())?;
    storage.commit()?;
    work.seen();
    match jobs.iter().map(Job::durability).max() {
        Some(Durability::Synced) => storage.sync(),
        _ => Ok(()),
    }
}
