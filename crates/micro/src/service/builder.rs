use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use micro_core::broker::Broker;
use micro_core::context::Propagation;
use micro_core::middleware::{Middleware, Shared};
use micro_core::registry::Registry;
use micro_core::selector::Selector;
use micro_core::tls::{ClientTls, ServerTls};
use micro_core::{Kind, Result};
use micro_event::{Events, EventsBuilder, HandlerFailure};
use micro_rpc::{Client, ClientBuilder};
use tokio::runtime::Handle;

use super::Service;
use super::hooks::Hooks;
use crate::plugins::{self, IntoPlugin, PluginSource};
use crate::settings::{Args, Code, Flag, Settings, Source, Stop};

/// Makes a [`Service`]. What it says is weaker than a file, the environment and flags.
///
/// # Examples
///
/// ```
/// use micro::Service;
/// use std::time::Duration;
///
/// let service = Service::builder("greeter")
///     .version("1.2.0")
///     .address("127.0.0.1:0")
///     .metadata("zone", "a")
///     .drain(Duration::from_secs(5))
///     .registry("memory")
///     .broker("memory")
///     .args(false)
///     .build()?;
/// assert_eq!(service.version(), "1.2.0");
/// # Ok::<(), micro::Error>(())
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct ServiceBuilder {
    name: String,
    values: Vec<(&'static str, String)>,
    metadata: BTreeMap<String, String>,
    endpoint_limits: BTreeMap<String, usize>,
    flags: Vec<Flag>,
    args: Args,
    broker: Option<Arc<dyn Broker>>,
    registry: Option<Arc<dyn Registry>>,
    selector: Option<Arc<dyn Selector>>,
    propagated: Vec<String>,
    observers: Vec<Observer>,
    runtime: Option<Handle>,
    layers: SideLayers,
    sealed: Option<Sealed>,
}

type Observer = Box<dyn Fn(&HandlerFailure<'_>) + Send + Sync>;

/// Middleware by what it is round.
#[derive(Debug, Default)]
struct SideLayers {
    server: Vec<Shared>,
    client: Vec<Shared>,
    event: Vec<Shared>,
}

/// What nobody changes any more.
#[derive(Debug, Default)]
struct Sealed {
    values: Vec<(&'static str, String)>,
    broker: Option<Arc<dyn Broker>>,
    registry: Option<Arc<dyn Registry>>,
    selector: Option<Arc<dyn Selector>>,
}

impl ServiceBuilder {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            values: Vec::new(),
            metadata: BTreeMap::new(),
            endpoint_limits: BTreeMap::new(),
            flags: Vec::new(),
            args: Args::Process,
            broker: None,
            registry: None,
            selector: None,
            propagated: Vec::new(),
            observers: Vec::new(),
            runtime: None,
            layers: SideLayers::default(),
            sealed: None,
        }
    }

    fn set(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.values.push((name, value.into()));
        self
    }

    fn file(self, name: &'static str, file: Option<&Path>) -> Self {
        match file {
            Some(file) => self.set(name, file.to_string_lossy()),
            None => self,
        }
    }

    /// Sets the version, `latest` by default.
    pub fn version(self, version: impl Into<String>) -> Self {
        self.set("server_version", version)
    }

    /// Sets the last part of the node's id, a new uuid by default.
    pub fn id(self, id: impl Into<String>) -> Self {
        self.set("server_id", id)
    }

    /// Sets where to listen, `:0` (any free port on every address) by default.
    pub fn address(self, address: impl Into<String>) -> Self {
        self.set("server_address", address)
    }

    /// Sets the address to register, where it is not the one listened on.
    pub fn advertise(self, address: impl Into<String>) -> Self {
        self.set("server_advertise", address)
    }

    /// Adds a label of this node, for callers to choose by.
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(name.into(), value.into());
        self
    }

    /// Sets how long a registration lives, 60 s by default, and how often it is refreshed, 30 s by default (zero: never).
    pub fn register(self, ttl: Duration, interval: Duration) -> Self {
        self.set("register_ttl", nanos(ttl)).set("register_interval", nanos(interval))
    }

    /// Sets the registry: a plugin, a shared one, or a name or address as `--registry` takes it.
    pub fn registry<By>(mut self, registry: impl IntoPlugin<dyn Registry, By>) -> Self {
        match registry.into_plugin() {
            PluginSource::Named(text) => self.set("registry", text),
            PluginSource::Value(plugin) => {
                self.registry = Some(plugin);
                self
            }
        }
    }

    /// Sets the broker: a plugin, a shared one, or a name or address as `--broker` takes it.
    pub fn broker<By>(mut self, broker: impl IntoPlugin<dyn Broker, By>) -> Self {
        match broker.into_plugin() {
            PluginSource::Named(text) => self.set("broker", text),
            PluginSource::Value(plugin) => {
                self.broker = Some(plugin);
                self
            }
        }
    }

    /// Sets how a node is chosen: a strategy of [`selector`](crate::selector), or a text as `--selector` takes it, as
    /// `consistenthash?header=x-user`. A text brings ejection of nodes that fail; a strategy is taken as it is.
    pub fn selector<By>(mut self, selector: impl IntoPlugin<dyn Selector, By>) -> Self {
        match selector.into_plugin() {
            PluginSource::Named(text) => self.set("selector", text),
            PluginSource::Value(plugin) => {
                self.selector = Some(plugin);
                self
            }
        }
    }

    /// Sets the limit of a call, all its tries together, 5 s by default.
    pub fn timeout(self, limit: Duration) -> Self {
        self.set("client_request_timeout", nanos(limit))
    }

    /// Sets how many further tries a call has, 1 by default. Repeated is only what surely did not run, or is idempotent.
    pub fn retries(self, retries: u32) -> Self {
        self.set("client_retries", retries.to_string())
    }

    /// Lets a metadata name go on from a handled call or event to those made by its handler, as the trace ids do.
    pub fn propagate(mut self, name: impl Into<String>) -> Self {
        self.propagated.push(name.into());
        self
    }

    /// Adds a function that hears of every failure of a subscriber's handler; it must not block.
    pub fn on_failure(mut self, observer: impl Fn(&HandlerFailure<'_>) + Send + Sync + 'static) -> Self {
        self.observers.push(Box::new(observer));
        self
    }

    /// Puts [middleware](crate::middleware) round all handlers, those of calls and those of events, inside what was added
    /// before.
    pub fn layer(self, middleware: impl Middleware) -> Self {
        let shared = Shared::new(middleware);
        self.server_layer(shared.clone()).event_layer(shared)
    }

    /// Puts [middleware](crate::middleware) round the handlers of calls; see
    /// [`ServerOptions::layer`](micro_rpc::ServerOptions::layer).
    pub fn server_layer(mut self, middleware: impl Middleware) -> Self {
        self.layers.server.push(Shared::new(middleware));
        self
    }

    /// Puts [middleware](crate::middleware) round the calls that the service makes; see
    /// [`ClientBuilder::layer`](micro_rpc::ClientBuilder::layer).
    pub fn client_layer(mut self, middleware: impl Middleware) -> Self {
        self.layers.client.push(Shared::new(middleware));
        self
    }

    /// Puts [middleware](crate::middleware) round the handlers of events; see
    /// [`EventsBuilder::layer`](micro_event::EventsBuilder::layer).
    pub fn event_layer(mut self, middleware: impl Middleware) -> Self {
        self.layers.event.push(Shared::new(middleware));
        self
    }

    /// Runs the handlers of calls on a runtime of your own, not on the cores; see
    /// [`ServerOptions::runtime`](micro_rpc::ServerOptions::runtime). Subscribers run on the one that starts the service.
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Serves calls over TLS; where it names an authority of clients, only to those with a certificate of it.
    pub fn server_tls(mut self, tls: &ServerTls) -> Self {
        let own = tls.get_identity();
        self = self.file("server_tls_cert", Some(&own.certificate)).file("server_tls_key", Some(&own.key));
        self.file("server_tls_ca", tls.get_client_authority())
    }

    /// Makes calls over TLS.
    pub fn client_tls(mut self, tls: &ClientTls) -> Self {
        let own = tls.get_identity();
        self = self.set("client_tls", if tls.verifies() { "on" } else { "unverified" });
        self = self.file("client_tls_cert", own.map(|own| &*own.certificate));
        self = self.file("client_tls_key", own.map(|own| &*own.key)).file("client_tls_ca", tls.get_authority());
        match tls.get_server_name() {
            Some(name) => self.set("client_tls_name", name),
            None => self,
        }
    }

    /// Sets how long handlers may finish when the service stops, 10 s by default.
    pub fn drain(self, limit: Duration) -> Self {
        self.set("drain", nanos(limit))
    }

    /// Sets how long calls are still taken after the node was taken out of the registry, until the last caller has heard of
    /// it. It is part of [`drain`](Self::drain), no more than its half.
    ///
    /// By default 500 ms for a service that can be called and that other processes know of, else none. Set, it holds for
    /// every service, as where a load balancer looks at `/ready` or the health.
    pub fn drain_wait(self, wait: Duration) -> Self {
        self.set("drain_wait", nanos(wait))
    }

    /// Sets how many calls run at once in the whole server; see
    /// [`ServerOptions::max_in_flight`](micro_rpc::ServerOptions::max_in_flight). No limit by default.
    pub fn max_in_flight(self, calls: usize) -> Self {
        self.set("server_max_in_flight", calls.to_string())
    }

    /// Sets how many calls of each endpoint run at once, where it has no limit of [its own](micro_rpc::Endpoint::max_in_flight).
    /// No limit by default.
    pub fn endpoint_max_in_flight(self, calls: usize) -> Self {
        self.set("server_endpoint_max_in_flight", calls.to_string())
    }

    /// Sets how many calls of the endpoint of this name run at once, as `Greeter.Greet`; see
    /// [`ServerOptions::endpoint_limit`](micro_rpc::ServerOptions::endpoint_limit).
    pub fn endpoint_limit(mut self, endpoint: impl Into<String>, calls: usize) -> Self {
        self.endpoint_limits.insert(endpoint.into(), calls);
        self
    }

    /// Refuses calls that wait longer than this for their turn while all do; see
    /// [`ServerOptions::shed`](micro_rpc::ServerOptions::shed). Off by default.
    pub fn shed(self, wait: Duration) -> Self {
        self.set("server_shed", nanos(wait))
    }

    /// Sets what is logged, `info` by default, as `--log_level` takes it: `warn`, or `info,micro_rpc=debug`.
    pub fn log_level(self, level: impl Into<String>) -> Self {
        self.set("log_level", level)
    }

    /// Serves `/metrics`, `/live` and `/ready` over HTTP at this address; `:9090` is loopback only. Off by default.
    pub fn http_address(self, address: impl Into<String>) -> Self {
        self.set("http_address", address)
    }

    /// Sets the folder of the embedded plugins, `~/.micro` by default.
    pub fn home(self, folder: impl AsRef<std::path::Path>) -> Self {
        self.set("home", folder.as_ref().to_string_lossy())
    }

    /// Adds a flag of the program's own; [`Service::flag`] has its value.
    pub fn flag(mut self, flag: Flag) -> Self {
        self.flags.push(flag);
        self
    }

    /// Sets where flags come from: `true`, the default, is the process's command line, `false` none; a list is itself.
    ///
    /// With the process's, `--help` and a bad setting end the process, with 0 and 2; else they are errors.
    pub fn args(mut self, args: impl Into<Args>) -> Self {
        self.args = args.into();
        self
    }

    /// Makes final what has been set so far: neither later code nor a flag changes it. File, environment and the command
    /// line of the process are not read at all; a list that [`args`](Self::args) is given is.
    ///
    /// For a test, which hands the builder to the code of production and must not meet its broker.
    ///
    /// # Examples
    ///
    /// ```
    /// use micro::{Result, Service, ServiceBuilder};
    ///
    /// fn production(builder: ServiceBuilder) -> Result<Service> {
    ///     builder.version("1.2.0").broker("kafka://prod:9092").build()
    /// }
    ///
    /// let service = production(Service::builder("orders").broker("memory").registry("memory").sealed())?;
    /// assert_eq!((service.version(), service.broker().name()), ("1.2.0", "memory"));
    /// # Ok::<(), micro::Error>(())
    /// ```
    pub fn sealed(mut self) -> Self {
        let sealed = self.sealed.get_or_insert_default();
        // What was sealed before stays.
        let named: Vec<_> = sealed.values.iter().map(|(name, _)| *name).collect();
        let free = |name: &str, by_value: bool| !named.contains(&name) && !by_value;
        let broker = self.broker.take().filter(|_| free("broker", sealed.broker.is_some()));
        let registry = self.registry.take().filter(|_| free("registry", sealed.registry.is_some()));
        let selector = self.selector.take().filter(|_| free("selector", sealed.selector.is_some()));
        sealed.broker = sealed.broker.take().or(broker);
        sealed.registry = sealed.registry.take().or(registry);
        sealed.selector = sealed.selector.take().or(selector);
        sealed.values.extend(self.values.drain(..).filter(|(name, _)| !named.contains(name)));
        self
    }

    /// Reads file, environment and flags, and makes the service. Nothing is opened yet.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`] for a setting that cannot be, [`Kind::UnknownPlugin`] for a name that no plugin has. If the
    /// command line is the process's, these are printed to stderr and the process exits with 2.
    pub fn build(self) -> Result<Service> {
        let (process, name) = (matches!(self.args, Args::Process) && self.sealed.is_none(), self.name.clone());
        match self.try_build() {
            Ok(service) => Ok(service),
            Err(Stop::Help(text)) => {
                #[expect(clippy::print_stdout, reason = "--help is the output of the program")]
                {
                    print!("{text}");
                }
                std::process::exit(0);
            }
            Err(Stop::Error(error)) if process && matches!(error.kind(), Kind::Config | Kind::UnknownPlugin) => {
                eprintln!("{name}: {error}");
                std::process::exit(2);
            }
            Err(Stop::Error(error)) => Err(error),
        }
    }

    fn try_build(self) -> Result<Service, Stop> {
        let (sealed, last) = match self.sealed {
            Some(sealed) => (true, sealed),
            None => (false, Sealed::default()),
        };
        let args = if sealed && matches!(self.args, Args::Process) { Args::None } else { self.args };
        let code = Code {
            values: self.values,
            metadata: self.metadata,
            endpoint_limits: self.endpoint_limits,
            flags: self.flags,
            args,
            sealed: last.values,
        };
        let environment = |name: &str| if sealed { None } else { std::env::var(name).ok() };
        let settings = Settings::read(&self.name, code, &environment)?;
        crate::logging::install(settings.level.clone(), settings.format, settings.tracing);
        if settings.http_address.is_some() {
            // Before the first client, server or event: they look up their counters once.
            crate::probe::record_metrics();
        }
        if let Some(cores) = settings.cores {
            micro_rpc::set_cores(cores)?;
        }
        let id = format!("{}-{}", settings.name, settings.id);
        let home = settings.home.as_deref();
        // A value in code is code's word: a file, a variable or a flag beats it.
        let broker = match last.broker.or(self.broker.filter(|_| settings.broker_source <= Source::Code)) {
            Some(broker) => broker,
            None => plugins::broker(&settings.broker, home, &id)?,
        };
        let registry = match last.registry.or(self.registry.filter(|_| settings.registry_source <= Source::Code)) {
            Some(registry) => registry,
            None => plugins::registry(&settings.registries, home)?,
        };
        let selector = match last.selector.or(self.selector.filter(|_| settings.selector_source <= Source::Code)) {
            Some(selector) => selector,
            None => plugins::selector(&settings.selector, settings.zone.as_deref(), &id)?,
        };
        let propagation = Propagation::new(self.propagated);
        let mut client = Client::builder()
            .name(settings.name.clone())
            .cache(plugins::cache(&registry))
            .selector(selector)
            .timeout(settings.request_timeout)
            .retries(settings.retries)
            .pool(settings.pool_size)
            .idle_timeout(settings.pool_ttl)
            .propagation(propagation.clone());
        if let Some(tls) = settings.client_tls.clone() {
            client = client.tls(tls);
        }
        let client = settings.policy.apply(client);
        let client = self.layers.client.into_iter().fold(client, ClientBuilder::layer).build();
        let events = Events::builder(Arc::clone(&broker)).service(settings.name.clone()).propagation(propagation);
        let events = self.layers.event.into_iter().fold(events, EventsBuilder::layer);
        let events = self.observers.into_iter().fold(events, EventsBuilder::on_failure).build();
        Ok(Service {
            id,
            settings: Box::new(settings),
            broker,
            registry,
            client,
            events,
            endpoints: Vec::new(),
            subscribers: Vec::new(),
            hooks: Hooks::default(),
            runtime: self.runtime,
            layers: self.layers.server,
        })
    }
}

fn nanos(duration: Duration) -> String {
    format!("{}ns", duration.as_nanos())
}

impl fmt::Debug for ServiceBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceBuilder")
            .field("name", &self.name)
            .field("broker", &self.broker)
            .field("registry", &self.registry)
            .field("sealed", &self.sealed.is_some())
            .finish_non_exhaustive()
    }
}
