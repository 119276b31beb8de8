//! Records in memory that can be taken away: memory has no outage of its own, so that this is the outage of a server that
//! refuses every call and ends every watch; and what can be done wrong about it.

use std::any::Any;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use micro_conformance::registry::Outage;
use micro_core::registry::{Change, Memory, Registry, Service, Watch};
use micro_core::{Error, Kind, Result};
use tokio::sync::watch;

use crate::broken_registry::Wrong;

/// What clients know of the outage.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    away: bool,
    cuts: u32,
}

#[derive(Debug, Default)]
struct Server {
    memory: Mutex<Memory>,
    state: watch::Sender<State>,
    wrong: Option<Wrong>,
}

/// A server of a case's own, and each of its clients.
#[derive(Debug, Clone, Default)]
pub(crate) struct Away(Arc<Server>);

impl Away {
    pub(crate) fn broken(wrong: Wrong) -> Self {
        Self(Arc::new(Server { wrong: Some(wrong), ..Server::default() }))
    }

    fn is(&self, wrong: Wrong) -> bool {
        self.0.wrong == Some(wrong)
    }

    fn memory(&self) -> Memory {
        self.0.memory.lock().unwrap().clone()
    }

    fn state(&self) -> State {
        *self.0.state.borrow()
    }

    /// Fails while it is away, or hangs where that is the double.
    async fn check(&self) -> Result<()> {
        if self.state().away && self.is(Wrong::HangsWhenAway) {
            std::future::pending::<()>().await;
        }
        if self.state().away && !self.is(Wrong::IsEmptyWhenAway) { Err(unavailable()) } else { Ok(()) }
    }

    fn end(&self) {
        self.0.state.send_modify(|state| state.away = false);
    }
}

fn unavailable() -> Error {
    Error::new(Kind::Unavailable, "the registry is away").with("address", "memory://away")
}

impl Outage for Away {
    fn client(&self) -> Arc<dyn Registry> {
        Arc::new(self.clone())
    }

    fn elsewhere(&self) -> Arc<dyn Registry> {
        Arc::new(self.memory())
    }

    fn cut(&self) {
        self.0.state.send_modify(|state| *state = State { away: true, cuts: state.cuts + 1 });
    }

    fn heal(&self) {
        self.end();
    }

    fn restart(&self) {
        *self.0.memory.lock().unwrap() = Memory::new();
        self.end();
    }
}

#[async_trait::async_trait]
impl Registry for Away {
    fn name(&self) -> &'static str {
        "away"
    }

    fn address(&self) -> String {
        "memory://away".to_owned()
    }

    async fn register(&self, service: &Service, ttl: Duration) -> Result<()> {
        self.check().await?;
        let cuts = self.state().cuts;
        match self.0.wrong {
            Some(Wrong::RefusesAfterAnOutage) if cuts > 0 => Err(unavailable()),
            Some(Wrong::ForgetsAfterARestart) if cuts > 1 => Ok(()),
            _ => self.memory().register(service, ttl).await,
        }
    }

    async fn deregister(&self, service: &Service) -> Result<()> {
        self.check().await?;
        self.memory().deregister(service).await
    }

    async fn get(&self, service: &str) -> Result<Vec<Service>> {
        self.check().await?;
        if self.state().away { Ok(Vec::new()) } else { self.memory().get(service).await }
    }

    async fn list(&self) -> Result<Vec<String>> {
        self.check().await?;
        self.memory().list().await
    }

    async fn watch(&self, service: Option<&str>) -> Result<Box<dyn Watch>> {
        self.check().await?;
        let resumed = self.state().cuts > 0;
        let mut watch = self.memory().watch(service).await?;
        let empty = resumed && self.is(Wrong::ResumesEmpty) || self.state().away;
        if empty {
            watch.next().await?;
        }
        Ok(Box::new(AwayWatch { server: self.clone(), watch, empty, state: self.0.state.subscribe() }))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[derive(Debug)]
struct AwayWatch {
    server: Away,
    watch: Box<dyn Watch>,
    /// It begins with nothing.
    empty: bool,
    state: watch::Receiver<State>,
}

#[async_trait::async_trait]
impl Watch for AwayWatch {
    async fn next(&mut self) -> Result<Change> {
        if std::mem::take(&mut self.empty) {
            return Ok(Change::State(Vec::new()));
        }
        loop {
            tokio::select! {
                biased;
                changed = self.state.changed() => changed.map_err(|_| unavailable())?,
                change = self.watch.next() => return change,
            }
            match self.server.0.wrong {
                Some(Wrong::HangsWhenAway) => {}
                Some(Wrong::LosesWhatChanges) => {
                    self.state.wait_for(|state| !state.away).await.map_err(|_| unavailable())?;
                    while self.watch.next().now_or_never().is_some() {}
                }
                _ => return Err(unavailable()),
            }
        }
    }
}
