//! The kit itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use micro::broker::{Broker, Memory, Topic};
use micro::codec::Payload;
use micro::registry::Memory as Registry;
use micro::rpc::Call;
use micro::{Client, Error, Events, Kind, Result, Service, ServiceBuilder};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::yield_now;
use tokio::time::sleep;

use crate::broker::Recorder;
use crate::clock;
use crate::delivery::DeliveryQuery;
use crate::journal::Journal;
use crate::publish::KitPublish;
use crate::published::Published;
use crate::started::Started;

/// How long an assertion waits.
const LIMIT: Duration = Duration::from_secs(5);
/// So many turns in which nothing happens are the end of work.
const QUIET: usize = 16;

/// The surroundings of services under test: a broker, a registry and a clock of their own.
///
/// Made in the test and dropped with it; services that still run then stop. The page `docs/testing.md` goes through
/// everything.
#[derive(Debug)]
pub struct TestKit {
    memory: Memory,
    registry: Arc<Registry>,
    journal: Arc<Journal>,
    /// The test itself, as publisher and caller.
    events: Events,
    client: Client,
    started: Mutex<Vec<Started>>,
    limit: Duration,
}

impl TestKit {
    /// Creates a kit with a broker and a registry that nobody else has.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime: write `#[tokio::test]`.
    #[must_use]
    #[track_caller]
    pub fn new() -> Self {
        let Ok(runtime) = Handle::try_current() else {
            panic!("a test kit needs a tokio runtime; write #[tokio::test] on the test")
        };
        let (memory, registry, journal) = (Memory::new(), Arc::new(Registry::default()), Arc::new(Journal::new()));
        let recorder = Recorder::new(memory.clone(), Arc::clone(&journal), "the test", runtime);
        // Memory connects at once.
        let _ = recorder.connect().now_or_never();
        let own = wired(Service::builder("test"), recorder, &registry).build();
        let own = own.expect("a service with nothing but memory plugins has no wrong setting");
        let (events, client) = (own.events(), own.client());
        Self { memory, registry, journal, events, client, started: Mutex::default(), limit: LIMIT }
    }

    /// Sets how long assertions wait at most, in real time, instead of five seconds.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Starts to make a service that lives in this kit: hand the builder to the code of production.
    ///
    /// Broker, registry, address (a free port on loopback) and the port for metrics (none) are
    /// [sealed](ServiceBuilder::sealed): what production says of them does not count, and neither file, environment nor
    /// the command line is read. Flags are given by [`args`](ServiceBuilder::args). Handlers run on the test's runtime.
    /// Logs are errors only, unless `MICRO_LOG_LEVEL` says otherwise.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn builder(&self, name: &str) -> ServiceBuilder {
        let runtime = Handle::current();
        let recorder = Recorder::new(self.memory.clone(), Arc::clone(&self.journal), name, runtime.clone());
        let journal = Arc::clone(&self.journal);
        wired(Service::builder(name), recorder, &self.registry)
            .runtime(runtime)
            .on_failure(move |failure| journal.failed(failure))
    }

    /// Starts a service that was made by this kit's [`builder`](Self::builder). When it returns, the service can be
    /// called and hears of events. It runs until the kit is dropped, or [`Started`] says otherwise.
    ///
    /// # Errors
    ///
    /// [`Kind::InvalidArgument`] for a service with another broker; what [`Service::start`] returns.
    pub async fn start(&self, service: Service) -> Result<Started> {
        let broker = service.broker();
        let recorder = broker
            .as_any()
            .downcast_ref::<Recorder>()
            .filter(|recorder| Arc::ptr_eq(&recorder.0.journal, &self.journal));
        let Some(recorder) = recorder.cloned() else {
            let text = format!(
                "the service {} is not of this kit: its broker is {} at {}; make it of kit.builder(\"{}\")",
                service.name(),
                broker.name(),
                broker.address(),
                service.name()
            );
            return Err(Error::new(Kind::InvalidArgument, text).operation("testkit.start"));
        };
        let started = Started::new(service.start().await?, recorder);
        self.lock().push(started.clone());
        // Callers hear of its node.
        clock::turns().await;
        Ok(started)
    }

    /// Calls an endpoint as another service would: over the network, by the registry.
    ///
    /// It is the call of production, with its options: a limit of five seconds, one more try.
    pub fn call<'a, Q: Payload, R: Payload>(
        &'a self,
        service: &'a str,
        endpoint: &'a str,
        request: &'a Q,
    ) -> Call<'a, Q, R> {
        self.client.call(service, endpoint, request)
    }

    /// Returns a client, for generated ones: `OrdersClient::new("orders", &kit.client())`.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Publishes an event as another service would; await it.
    pub fn publish<'a, T: Payload>(&self, topic: impl AsRef<str>, value: &'a T) -> KitPublish<'a, T> {
        KitPublish::new(self.events.event(topic), value)
    }

    /// Returns a broker of this kit's world, for raw messages and subscriptions of the test's own.
    #[must_use]
    pub fn broker(&self) -> Arc<dyn Broker> {
        Arc::clone(self.events.broker())
    }

    /// Returns the registry.
    #[must_use]
    pub fn registry(&self) -> Arc<dyn micro::registry::Registry> {
        Arc::clone(&self.registry) as _
    }

    /// Asks what was published on a topic. Dead letters lie on `<topic>.dead`.
    pub fn published<T: Payload>(&self, topic: impl AsRef<str>) -> Published<'_, T> {
        Published::new(self, topic.as_ref(), self.limit)
    }

    /// Asks what became of the delivery of a message.
    pub fn delivery(&self, topic: impl AsRef<str>) -> DeliveryQuery<'_> {
        DeliveryQuery::new(&self.journal, topic.as_ref(), self.limit)
    }

    /// Has the broker refuse the next publishes to a topic, by whomever, with [`Kind::Unavailable`]. Zero ends it.
    ///
    /// A transaction that runs into it is not committed. Dead letters are publishes to `<topic>.dead`.
    ///
    /// # Errors
    ///
    /// [`Kind::InvalidTopic`] for a bad name.
    pub fn fail_next(&self, topic: impl AsRef<str>, publishes: u32) -> Result<()> {
        self.journal.refuse(Topic::new(topic)?, publishes);
        Ok(())
    }

    /// Waits until nothing is left to do: no handler is at work, and nothing that was published waits for one. What
    /// waits for the clock, as for its retry, is left.
    ///
    /// Calls are not looked at: they are awaited by whoever made them.
    ///
    /// # Errors
    ///
    /// [`Kind::Timeout`] after the limit, with what is still being handled.
    pub async fn idle(&self) -> Result<()> {
        self.idle_within(self.limit).await
    }

    pub(crate) async fn idle_within(&self, limit: Duration) -> Result<()> {
        let began = std::time::Instant::now();
        let one_thread = Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread;
        let changes = self.journal.changes();
        let mut quiet = 0;
        let mut seen = *changes.borrow();
        while quiet < QUIET {
            if began.elapsed() >= limit {
                let told = crate::telling::deliveries(&self.journal.lock());
                let text = format!("expected an end of work within {limit:?}, but there is more to do; {told}");
                return Err(Error::new(Kind::Timeout, text));
            }
            let busy = self.journal.busy();
            match (busy, one_thread) {
                // What another thread does takes its time to be seen.
                (true, _) | (_, false) => sleep(Duration::from_millis(1)).await,
                // Every task that was woken has its turn before this one has its next.
                (false, true) => yield_now().await,
            }
            let now = *changes.borrow();
            quiet = if busy || now != seen { 0 } else { quiet + 1 };
            seen = now;
        }
        Ok(())
    }

    /// Lets time pass for everything on the test's runtime: pauses of retries, delays, leases, time limits of handlers,
    /// deadlines, the user's own `tokio::time`. What happens in that time happens, in its order; a thousandth of it, or
    /// 10 ms if that is more, counts as a moment.
    ///
    /// The clock runs on as ever before and after. `std::time` does not move, and neither does what is measured on the
    /// threads of the RPC server: only what handlers do.
    ///
    /// # Errors
    ///
    /// [`Kind::Unsupported`] on a runtime of several threads, or with a clock that the test has paused.
    pub async fn advance(&self, time: Duration) -> Result<()> {
        clock::advance(&self.journal, time).await
    }

    /// Stops every service that still runs, the last one first.
    ///
    /// # Errors
    ///
    /// The first failure of a stop; the others are stopped all the same.
    pub async fn stop(&self) -> Result<()> {
        let all = std::mem::take(&mut *self.lock());
        let mut outcome = Ok(());
        for started in all.iter().rev().filter(|started| started.is_running()) {
            let stopped = started.stop().await;
            outcome = outcome.and(stopped);
        }
        outcome
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Started>> {
        self.started.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for TestKit {
    fn default() -> Self {
        Self::new()
    }
}

/// Gives a builder what it shall not change.
fn wired(builder: ServiceBuilder, recorder: Recorder, registry: &Arc<Registry>) -> ServiceBuilder {
    let registry: Arc<dyn micro::registry::Registry> = Arc::clone(registry) as _;
    let level = std::env::var("MICRO_LOG_LEVEL").ok().filter(|level| !level.is_empty());
    let builder = builder.log_level(level.unwrap_or_else(|| "error".to_owned()));
    let builder = builder.broker(recorder).registry(registry).address("127.0.0.1:0").advertise("").http_address("");
    builder.sealed()
}
