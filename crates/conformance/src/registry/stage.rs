use std::sync::Arc;
use std::time::Duration;

use micro_core::registry::{Change, Node, Registry, Service, Watch};
use tokio::time::{Instant, sleep, timeout};

use super::{Fixture, Limits, Outage, Process};
use crate::Failed;

/// Longer than any case.
pub(super) const LONG: Duration = Duration::from_secs(600);

/// How often a registry is asked while something is waited for.
pub(super) const PAUSE: Duration = Duration::from_millis(10);

/// Where a case runs: fresh names, clients of the plugin, and waiting with a limit.
#[derive(Debug, Clone)]
pub struct Stage {
    fixture: Arc<dyn Fixture>,
    /// Makes the names of this run its own.
    run: String,
}

impl Stage {
    pub(super) fn new(fixture: Arc<dyn Fixture>, case: &str) -> Self {
        let random = uuid::Uuid::new_v4().simple().to_string();
        Self { fixture, run: format!("{}-{}", case.to_lowercase(), &random[..12]) }
    }

    /// Returns how long to wait.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.fixture.limits()
    }

    /// Returns the time to live that may be waited out.
    #[must_use]
    pub fn ttl(&self) -> Duration {
        self.fixture.ttl()
    }

    /// Returns the name of a service that only this run has.
    #[must_use]
    pub fn service(&self, what: &str) -> String {
        format!("c-{}-{what}", self.run)
    }

    /// Makes another client of the same records.
    #[must_use]
    pub fn client(&self) -> Arc<dyn Registry> {
        self.fixture.client()
    }

    /// Makes a client of other records.
    #[must_use]
    pub fn apart(&self) -> Arc<dyn Registry> {
        self.fixture.apart()
    }

    /// Makes a client of an address with the password `secret` where no registry can be.
    ///
    /// # Errors
    ///
    /// If the fixture has none.
    pub fn nobody(&self) -> Result<Arc<dyn Registry>, Failed> {
        self.fixture.nobody().ok_or_else(|| Failed::new("the fixture has no address where nobody is"))
    }

    /// Starts another process, which registers a record and goes on doing so.
    ///
    /// # Errors
    ///
    /// If the fixture has none, or it does not start in time.
    pub async fn process(&self, service: &Service, ttl: Duration) -> Result<Box<dyn Process>, Failed> {
        let mut process = self.fixture.process().ok_or_else(|| Failed::new("the fixture has no process"))?;
        let service = service.clone();
        blocking(self, "another process", move || {
            process.start(&service, ttl);
            process
        })
        .await
    }

    /// Kills another process.
    ///
    /// # Errors
    ///
    /// If it does not end in time.
    pub async fn kill(&self, mut process: Box<dyn Process>) -> Result<(), Failed> {
        blocking(self, "the end of a process", move || process.kill()).await
    }

    /// Returns records that can be taken away.
    ///
    /// # Errors
    ///
    /// If the fixture has none.
    pub fn outage(&self) -> Result<Arc<dyn Outage>, Failed> {
        self.fixture.outage().ok_or_else(|| Failed::new("the fixture has no outage"))
    }

    /// Begins or ends an outage, beside the case.
    ///
    /// # Errors
    ///
    /// If that cannot be done, or not in time.
    pub async fn change(&self, outage: &Arc<dyn Outage>, change: fn(&dyn Outage)) -> Result<(), Failed> {
        let outage = Arc::clone(outage);
        blocking(self, "the outage", move || change(&*outage)).await
    }

    /// Waits for what must come.
    ///
    /// # Errors
    ///
    /// If it did not in time.
    pub async fn present<T>(&self, what: &str, future: impl Future<Output = T>) -> Result<T, Failed> {
        let limit = self.limits().present;
        timeout(limit, future).await.map_err(|_| Failed::new(format!("{what}: not within {limit:?}")))
    }

    /// Registers for longer than any case takes.
    ///
    /// # Errors
    ///
    /// If it cannot, or not in time.
    pub async fn register(&self, registry: &Arc<dyn Registry>, service: &Service) -> Result<(), Failed> {
        self.register_for(registry, service, LONG).await
    }

    /// Registers for a time.
    ///
    /// # Errors
    ///
    /// If it cannot, or not in time.
    pub async fn register_for(
        &self,
        registry: &Arc<dyn Registry>,
        service: &Service,
        ttl: Duration,
    ) -> Result<(), Failed> {
        Ok(self.present("register", registry.register(service, ttl)).await??)
    }

    /// Deregisters.
    ///
    /// # Errors
    ///
    /// If it cannot, or not in time.
    pub async fn deregister(&self, registry: &Arc<dyn Registry>, service: &Service) -> Result<(), Failed> {
        Ok(self.present("deregister", registry.deregister(service)).await??)
    }

    /// Returns the records of a service, as they are now; in the order of their versions and ids.
    ///
    /// # Errors
    ///
    /// If they cannot be got, or not in time.
    pub async fn get(&self, registry: &Arc<dyn Registry>, service: &str) -> Result<Vec<Service>, Failed> {
        Ok(sorted(self.present("get", registry.get(service)).await??))
    }

    /// Waits until a client finds these records of a service, and no others.
    ///
    /// # Errors
    ///
    /// If it does not in time, with what it finds.
    pub async fn finds(&self, registry: &Arc<dyn Registry>, service: &str, expected: &[Service]) -> Result<(), Failed> {
        self.finds_by(Instant::now() + self.limits().present, registry, service, expected).await
    }

    /// As [`finds`](Self::finds), until a time.
    ///
    /// # Errors
    ///
    /// As [`finds`](Self::finds).
    pub async fn finds_by(
        &self,
        until: Instant,
        registry: &Arc<dyn Registry>,
        service: &str,
        expected: &[Service],
    ) -> Result<(), Failed> {
        let expected = sorted(expected.to_vec());
        loop {
            let found = self.get(registry, service).await?;
            if found == expected {
                return Ok(());
            }
            if Instant::now() >= until {
                return Err(Failed::new(format!("{} of {service}, not {}", told(&found), told(&expected))));
            }
            sleep(PAUSE).await;
        }
    }

    /// Returns the names of all services, with those of others.
    ///
    /// # Errors
    ///
    /// If they cannot be got, or not in time.
    pub async fn list(&self, registry: &Arc<dyn Registry>) -> Result<Vec<String>, Failed> {
        Ok(self.present("list", registry.list()).await??)
    }

    /// Waits until a client lists a service, or no longer does.
    ///
    /// # Errors
    ///
    /// If that is not so in time.
    pub async fn lists(&self, registry: &Arc<dyn Registry>, service: &str, listed: bool) -> Result<(), Failed> {
        let until = Instant::now() + self.limits().present;
        while self.list(registry).await?.iter().any(|name| name == service) != listed {
            if Instant::now() >= until {
                return Err(Failed::new(format!("{service} is {}listed", if listed { "not " } else { "still " })));
            }
            sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Begins to watch a service, or all, and returns the first state as well.
    ///
    /// # Errors
    ///
    /// If it cannot, or the first thing it tells is not the state.
    pub async fn watch(
        &self,
        registry: &Arc<dyn Registry>,
        service: Option<&str>,
    ) -> Result<(Box<dyn Watch>, Vec<Service>), Failed> {
        let mut watch = self.present("watch", registry.watch(service)).await??;
        match self.next(&mut watch).await? {
            Change::State(services) => Ok((watch, sorted(services))),
            other => Err(Failed::new(format!("the first change is not the state: {other:?}"))),
        }
    }

    /// Waits for the next change.
    ///
    /// # Errors
    ///
    /// If none comes in time, or the watch ended.
    pub async fn next(&self, watch: &mut Box<dyn Watch>) -> Result<Change, Failed> {
        Ok(self.present("a change", watch.next()).await??)
    }

    /// Waits for the next change, which must be this one.
    ///
    /// # Errors
    ///
    /// If another comes, or none in time.
    pub async fn hears(&self, watch: &mut Box<dyn Watch>, expected: Change) -> Result<(), Failed> {
        let change = match self.next(watch).await {
            Ok(change) => change,
            Err(failed) => return Err(Failed::new(format!("{failed}; awaited: {expected:?}"))),
        };
        if change != expected {
            return Err(Failed::new(format!("heard of {change:?}, not of {expected:?}")));
        }
        Ok(())
    }

    /// Checks that nothing changes.
    ///
    /// # Errors
    ///
    /// If something does.
    pub async fn silence(&self, watch: &mut Box<dyn Watch>) -> Result<(), Failed> {
        match timeout(self.limits().absent, watch.next()).await {
            Err(_) => Ok(()),
            Ok(change) => Err(Failed::new(format!("a change came that must not: {:?}", change?))),
        }
    }
}

/// Runs what blocks beside the case.
async fn blocking<T: Send + 'static>(
    stage: &Stage,
    what: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failed> {
    let done = stage.present(what, tokio::task::spawn_blocking(work)).await?;
    done.map_err(|error| Failed::new(format!("{what}: {error}")))
}

/// The record of one node of a service.
pub(super) fn node(service: &str, version: &str, number: u16) -> Service {
    let node = Node::new(format!("{service}-{number}"), format!("127.0.0.1:{}", 20_000 + number));
    Service::new(service, version).node(node.with("protocol", "grpc"))
}

/// The order of versions and nodes is nobody's promise.
fn sorted(mut services: Vec<Service>) -> Vec<Service> {
    services.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    services.iter_mut().for_each(|service| service.nodes.sort_by(|a, b| a.id.cmp(&b.id)));
    services
}

/// Records as a failure tells them: a large one is cut.
fn told(services: &[Service]) -> String {
    const ENOUGH: usize = 500;
    let text = format!("{services:?}");
    text.chars().take(ENOUGH).collect()
}
