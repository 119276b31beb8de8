//! A service: its life from flags to the last log line.

mod broker_use;
mod builder;
mod hooks;
mod leave;
mod record;
mod registration;
mod running;
mod start;
mod together;

use std::future::Future;
use std::sync::Arc;

use micro_core::Result;
use micro_core::broker::Broker;
use micro_core::codec::Payload;
use micro_core::middleware::Shared;
use micro_core::registry::Registry;
use micro_event::{Event, Events, Subscriber};
use micro_rpc::{Client, Endpoint, Endpoints};
use tokio::runtime::Handle;

pub use builder::ServiceBuilder;
pub use running::Running;
pub use together::run_all;

use crate::settings::Settings;
use hooks::Hooks;

/// A named program that is called, hears of events, calls others and publishes.
///
/// # Examples
///
/// ```no_run
/// use micro::prelude::*;
///
/// #[derive(Serialize, Deserialize, Payload)]
/// struct Greeting {
///     text: String,
/// }
///
/// #[tokio::main]
/// async fn main() -> micro::Result<()> {
///     let mut service = Service::new("greeter")?;
///     service.handle(Endpoint::unary("Greeter.Greet", |_ctx, hello: Greeting| async move {
///         Ok(Greeting { text: format!("{}, too", hello.text) })
///     }));
///     service.run().await
/// }
/// ```
#[derive(Debug)]
pub struct Service {
    id: String,
    settings: Box<Settings>,
    broker: Arc<dyn Broker>,
    registry: Arc<dyn Registry>,
    client: Client,
    events: Events,
    endpoints: Vec<Handled>,
    subscribers: Vec<Subscriber>,
    hooks: Hooks,
    runtime: Option<Handle>,
    /// Middleware round the handlers of calls.
    layers: Vec<Shared>,
}

/// What one call of [`Service::handle`] was given.
struct Handled {
    endpoints: Vec<Endpoint>,
    descriptor: Option<&'static [u8]>,
}

impl Service {
    /// Makes a service of this name from the process's flags and `MICRO_*` variables. Nothing is opened yet.
    ///
    /// `--help` prints every flag and exits with 0; a bad flag prints what would be right and exits with 2. In a test,
    /// where the command line is the test runner's, use [`builder`](Self::builder) with `args(false)`.
    ///
    /// # Errors
    ///
    /// What [`ServiceBuilder::build`] returns.
    pub fn new(name: &str) -> Result<Self> {
        Self::builder(name).build()
    }

    /// Starts to make a service.
    pub fn builder(name: &str) -> ServiceBuilder {
        ServiceBuilder::new(name)
    }

    /// Returns the name that callers use.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Returns the version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.settings.version
    }

    /// Returns the node's id, `name-uuid`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the words of the command line that are no flags.
    #[must_use]
    pub fn args(&self) -> &[String] {
        &self.settings.words
    }

    /// Returns the value of a flag of the program's own; `None` if nobody gave one.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<&str> {
        self.settings.own.get(name).map(String::as_str)
    }

    /// Returns the value of a flag of the program's own as a number, an address or anything else that parses.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`](micro_core::Kind::Config) naming the flag and the value, if it does not parse.
    pub fn flag_as<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>> {
        let Some(value) = self.flag(name) else { return Ok(None) };
        value.parse().map(Some).map_err(|_| {
            let text = format!("the value {value:?} of --{name} is no {}", std::any::type_name::<T>());
            micro_core::Error::new(micro_core::Kind::Config, text)
        })
    }

    /// Adds what can be called: a generated server, `#[handler]` methods, or an [`Endpoint`].
    ///
    /// Two endpoints of one name are an error at the start.
    pub fn handle(&mut self, endpoints: impl Endpoints) -> &mut Self {
        let descriptor = endpoints.descriptor();
        self.endpoints.push(Handled { endpoints: endpoints.endpoints(), descriptor });
        self
    }

    /// Adds a subscriber; it is live before the service is registered.
    ///
    /// A bad topic or an option that the broker cannot keep is an error at the start.
    pub fn subscribe(&mut self, subscriber: Subscriber) -> &mut Self {
        self.subscribers.push(subscriber);
        self
    }

    /// Returns the client, a cheap clone. It works whether or not the service runs.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Returns the publisher of a topic. The broker is connected while the service runs; a program that only publishes
    /// connects it by [`connect`](Self::connect).
    #[must_use]
    pub fn event<T: Payload>(&self, topic: impl AsRef<str>) -> Event<T> {
        self.events.event(topic)
    }

    /// Returns publishers and subscribers that come and go while the service runs.
    #[must_use]
    pub fn events(&self) -> Events {
        self.events.clone()
    }

    /// Returns the broker, for raw messages.
    #[must_use]
    pub fn broker(&self) -> Arc<dyn Broker> {
        Arc::clone(&self.broker)
    }

    /// Returns the registry.
    #[must_use]
    pub fn registry(&self) -> Arc<dyn Registry> {
        Arc::clone(&self.registry)
    }

    /// Does something before anything is opened. An error is the start's.
    pub fn before_start<F, Fut>(&mut self, hook: F) -> &mut Self
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        self.hooks.before_start.add(hook);
        self
    }

    /// Does something once the service is registered. An error stops it again.
    pub fn after_start<F, Fut>(&mut self, hook: F) -> &mut Self
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        self.hooks.after_start.add(hook);
        self
    }

    /// Does something while the service still answers. An error is returned after the service has stopped.
    pub fn before_stop<F, Fut>(&mut self, hook: F) -> &mut Self
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        self.hooks.before_stop.add(hook);
        self
    }

    /// Does something after everything is closed. An error is returned.
    pub fn after_stop<F, Fut>(&mut self, hook: F) -> &mut Self
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        self.hooks.after_stop.add(hook);
        self
    }

    /// Connects the broker, for a program that publishes without running: starting connects it, too.
    ///
    /// # Errors
    ///
    /// The broker's own, with its address.
    pub async fn connect(&self) -> Result<()> {
        self.broker.connect().await
    }

    /// Starts: hooks, listen, connect the broker, subscribe, register, hooks.
    ///
    /// # Errors
    ///
    /// The address is in use, the broker cannot be reached, a subscription is refused, or a hook's own. What was opened
    /// is closed again. A registry that does not answer is no error: the service runs, and is registered when it does.
    pub async fn start(self) -> Result<Running> {
        start::start(self).await
    }

    /// Starts, waits for SIGTERM, SIGINT or SIGQUIT, and stops. A second signal does not wait for handlers any longer.
    ///
    /// # Errors
    ///
    /// Those of [`start`](Self::start) and [`Running::stop`].
    pub async fn run(self) -> Result<()> {
        run_all([self]).await
    }
}

impl std::fmt::Debug for Handled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.endpoints.iter().map(|endpoint| endpoint.record().name)).finish()
    }
}

impl Endpoints for Handled {
    fn descriptor(&self) -> Option<&'static [u8]> {
        self.descriptor
    }

    fn endpoints(self) -> Vec<Endpoint> {
        self.endpoints
    }
}
