//! A process whose end is handled wrongly. What is broken is the registry, so that a task stands for the process.

use std::time::Duration;

use futures_util::FutureExt;
use micro_conformance::registry::Process;
use micro_core::registry::{Registry, Service};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::registry::{Broken, Wrong};

#[derive(Debug)]
pub(crate) struct Task {
    registry: Broken,
    running: Option<JoinHandle<()>>,
}

impl Task {
    pub(crate) fn new(registry: Broken) -> Self {
        Self { registry, running: None }
    }
}

impl Process for Task {
    fn start(&mut self, service: &Service, ttl: Duration) {
        let (registry, service) = (self.registry.clone(), service.clone());
        // A memory never waits.
        registry.register(&service, ttl).now_or_never().unwrap().unwrap();
        self.running = Some(Handle::current().spawn(async move {
            loop {
                tokio::time::sleep(ttl / 5).await;
                registry.register(&service, ttl).await.unwrap();
            }
        }));
    }

    fn kill(&mut self) {
        self.running.take().unwrap().abort();
        match self.registry.wrong {
            Wrong::KilledStay => self.registry.keep_all().now_or_never().unwrap().unwrap(),
            Wrong::KilledTakeAllAlong => self.registry.take_all().now_or_never().unwrap().unwrap(),
            _ => {}
        }
    }
}
