use std::sync::Arc;
use std::time::Duration;

use micro_core::broker::Promise;
use micro_core::registry::Service;
use micro_core::{Error, Result};
use micro_engine::{Bell, Database, Durability, Process, Signal, Wake};

use crate::place::Place;
use crate::tables;

/// One thing for the writer thread.
pub(crate) struct Job {
    pub(crate) what: What,
    pub(crate) promise: Promise<()>,
}

pub(crate) enum What {
    Register(Service, Duration),
    Deregister(Service),
}

impl micro_engine::Job for Job {
    fn weight(&self) -> usize {
        256
    }

    /// Who is there is told again after a power cut.
    fn durability(&self) -> Durability {
        Durability::Written
    }
}

/// What the writer thread does.
pub(crate) struct Work {
    pub(crate) process: Arc<Process>,
    pub(crate) database: Place,
    pub(crate) bell: Bell,
    /// Wakes the watcher thread of this process.
    pub(crate) signal: Arc<std::sync::OnceLock<Signal>>,
}

impl micro_engine::Work for Work {
    type Job = Job;
    type Storage = Database;

    fn apply(&mut self, storage: &mut Database, jobs: &mut [Job]) -> Result<()> {
        // In a folder that is not there every other process looks dead, and nobody sees what is written.
        self.database.check()?;
        tables::bury(storage, &self.process)?;
        for job in jobs {
            match &job.what {
                What::Register(service, ttl) => tables::register(storage, &self.process, service, *ttl)?,
                What::Deregister(service) => tables::deregister(storage, service)?,
            }
        }
        Ok(())
    }

    fn seen(&mut self) {
        self.bell.ring(&[Wake { channel: 0, parts: 1 }]);
        if let Some(signal) = self.signal.get() {
            signal.notify();
        }
    }

    fn committed(&mut self, jobs: Vec<Job>) {
        for job in jobs {
            job.promise.complete_all(|_| Ok(()));
        }
    }

    fn failed(&mut self, jobs: Vec<Job>, error: &Error) {
        for job in jobs {
            job.promise.complete_all(|_| Err(error.duplicate()));
        }
    }
}
