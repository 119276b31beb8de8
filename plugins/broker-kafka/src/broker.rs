use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use micro_core::address::Address;
use micro_core::broker::{
    Broker, BrokerOptions, Capability, Message, Receipts, SubscribeOptions, Subscription, Topic, Transaction,
};
use micro_core::{Error, Kind, Result};
use tokio::sync::oneshot;

use crate::config::{Dialect, Settings};
use crate::context::{AccessToken, Consumer, Events, TokenSource, Watch};
use crate::error::{closed, convert};
use crate::member::Member;
use crate::old_subscription;
use crate::poller::Poller;
use crate::publisher::Publisher;
use crate::subscription::{Pulling, wait};
use crate::transaction::{KafkaTransaction, Pool};

/// How long subscribing may take beside the lease: a member that hangs holds its group up for that long.
const JOIN: Duration = Duration::from_secs(30);

pub(crate) type Members = Arc<Mutex<Vec<Weak<Member>>>>;

/// The Kafka broker: durable, partitioned topics on a cluster of servers.
///
/// The address is a list of servers, `kafka://h1:9092,h2:9092`, or `kafkas://…` for TLS; one that answers is enough.
/// Nothing is `127.0.0.1:9092`. With an account, `kafka://user:password@h1:9092?sasl=SCRAM-SHA-512`. Parameters:
///
/// | parameter | default | means |
/// |---|---|---|
/// | `create` | `true` | topics that are missing are created |
/// | `partitions` | 16 | partitions of the topics that are created |
/// | `replication` | the servers' | copies of the topics that are created |
/// | `topic.<name>` | the servers' | any config of the topics that are created, as `topic.retention.ms=3600000` |
/// | `compression` | `none` | `gzip`, `snappy`, `lz4`, `zstd` |
/// | `linger_ms` | 5 | how long a record waits for company |
/// | `timeout_ms` | 30000 | how long a publish may take, outages included |
/// | `connect_timeout_ms` | 10000 | how long `connect` waits for a server |
/// | `max_message_bytes` | 1000000 | the largest record; servers have a limit of their own |
/// | `buffer_messages`, `buffer_kb` | 65536, 65536 | as many messages, or KiB of bodies, are on their way before `ready` waits; at four times as many a publish is refused |
/// | `partitioner` | `murmur2_random` | which partition a key lies in; the default is that of the Java client |
/// | `tls`, `ca`, `cert`, `key`, `key_password` | | TLS, and PEM files for it |
/// | `verify` | `true` | `false`: the servers' certificates are not checked |
/// | `sasl` | `PLAIN` with a user | `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`, `OAUTHBEARER` |
/// | `token` | | a fixed token for OAUTHBEARER; for one that is renewed see [`Kafka::token_source`] |
/// | `dialect` | `native` | `gomicro`: records as go-micro's plugin writes them, groups as it shares them |
/// | `envelope` | `auto` | `off`: a record of another program is raw, whatever it looks like |
/// | `transactional_id` | by chance | a fixed one fences a former run of the same program |
/// | `kafka.<name>` | | any property of librdkafka, as `kafka.socket.timeout.ms=5000` |
///
/// A queue is a consumer group of that name. [`SubscribeOptions::lease`] is its session time-out, from 6 seconds on: so long
/// a killed member's share waits for another, and an outage that lasts longer makes every member give up its share, so
/// that what was in its hands comes again.
///
/// # Examples
///
/// ```no_run
/// use micro_broker_kafka::Kafka;
/// use micro_core::broker::{Broker, Message, Queue, SubscribeOptions, Topic};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let broker = Kafka::at("kafka://127.0.0.1:9092")?;
/// broker.connect().await?;
/// let topic = Topic::new("orders.created")?;
/// broker.publish(&topic, vec![Message::new("order 7").key("7")]).all().await?;
///
/// let options = SubscribeOptions::new().queue(Queue::new("warehouse")?);
/// let mut orders = broker.subscribe(&topic, options).await?;
/// for delivery in orders.next(16).await?.unwrap_or_default() {
///     assert_eq!(delivery.body(), "order 7");
///     delivery.ack().await?;
/// }
/// broker.disconnect().await?;
/// # Ok::<(), micro_core::Error>(())
/// # }).unwrap();
/// ```
pub struct Kafka {
    state: Mutex<State>,
    token: Option<TokenSource>,
}

#[derive(Default)]
struct State {
    options: BrokerOptions,
    connection: Option<Connection>,
}

/// What a connected broker uses.
#[derive(Clone)]
struct Connection {
    publisher: Arc<Publisher>,
    members: Members,
    pool: Arc<Pool>,
}

impl Kafka {
    /// Creates a broker on `127.0.0.1:9092`. No I/O is done.
    #[must_use]
    pub fn new() -> Self {
        Self { state: Mutex::default(), token: None }
    }

    /// Creates a broker on an address. No I/O is done.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`] for an unknown or senseless part of the address.
    pub fn at(address: &str) -> Result<Self> {
        Self::with_options(BrokerOptions::new().address(Address::parse(address)?))
    }

    /// Creates a broker with options. No I/O is done.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`] for an unknown or senseless part of the address.
    pub fn with_options(options: BrokerOptions) -> Result<Self> {
        let broker = Self::new();
        broker.init(options)?;
        Ok(broker)
    }

    /// Sets where access tokens for `sasl=OAUTHBEARER` come from.
    ///
    /// It is called whenever a new one is needed, on a thread of the client; it may block for some seconds. An error is
    /// logged, and it is called again ten seconds later.
    #[must_use]
    pub fn token_source(mut self, source: impl Fn() -> Result<AccessToken> + Send + Sync + 'static) -> Self {
        self.token = Some(Arc::new(source));
        self
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settings(&self) -> Result<Settings> {
        let state = self.lock();
        Settings::read(&state.options.address, state.options.client_id.as_deref())
    }

    fn connection(&self) -> Result<Connection> {
        self.lock().connection.clone().ok_or_else(closed)
    }

    /// A token in the address is as good as a source of it.
    fn tokens(&self, settings: &Settings) -> Option<TokenSource> {
        let fixed = || {
            let token = settings.token.clone()?;
            let principal = settings.client_id.clone();
            Some(Arc::new(move || Ok(AccessToken::new(principal.clone(), token.reveal()))) as TokenSource)
        };
        self.token.clone().or_else(fixed)
    }
}

impl Default for Kafka {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Broker for Kafka {
    fn name(&self) -> &'static str {
        "kafka"
    }

    fn capability(&self) -> Capability {
        let settings = self.settings().ok();
        let native = settings.as_ref().is_none_or(|settings| settings.dialect != Dialect::GoMicro);
        let mut capability = Capability::default();
        capability.persistent = true;
        capability.queues = true;
        capability.backlog = true;
        // The envelope has no key.
        capability.keys = native;
        capability.replay = true;
        capability.seek = true;
        capability.pause = true;
        capability.retry = true;
        capability.attempts = true;
        capability.partition = true;
        capability.transactions = true;
        capability.publish_time = true;
        capability.header_case = true;
        capability.max_body = settings.map(|settings| settings.max_message_bytes);
        capability
    }

    fn init(&self, options: BrokerOptions) -> Result<()> {
        Settings::read(&options.address, options.client_id.as_deref())?;
        self.lock().options = options;
        Ok(())
    }

    fn options(&self) -> BrokerOptions {
        self.lock().options.clone()
    }

    fn address(&self) -> String {
        self.settings().map_or_else(|_| self.lock().options.address.to_string(), |settings| settings.address())
    }

    async fn connect(&self) -> Result<()> {
        if self.lock().connection.is_some() {
            return Ok(());
        }
        let settings = Arc::new(self.settings()?);
        let watch = Arc::new(Watch::new(settings.address(), self.tokens(&settings)));
        let address = settings.address();
        let publisher = Publisher::new(settings, self.capability(), watch)
            .map_err(|error| error.operation("broker.connect").with("address", address))?;
        let publisher = Arc::new(publisher);
        publisher.reach().await?;
        let connection = Connection { publisher, members: Arc::default(), pool: Arc::default() };
        let mut state = self.lock();
        // Another call may have been faster; then this one is dropped.
        state.connection.get_or_insert(connection);
        Ok(())
    }

    async fn disconnect(&self) -> Result<()> {
        let Some(connection) = self.lock().connection.take() else { return Ok(()) };
        let members: Vec<Arc<Member>> = {
            let mut members = connection.members.lock().unwrap_or_else(PoisonError::into_inner);
            members.drain(..).filter_map(|member| member.upgrade()).collect()
        };
        // All leave at once, also where one cannot.
        let leaving: Vec<_> = members.iter().map(|member| (member, member.leave(Duration::ZERO))).collect();
        let mut outcome = Ok(());
        for (member, left) in leaving {
            outcome = outcome.and(wait(member, left).await);
        }
        let pool = connection.pool.close().await;
        let closed = connection.publisher.close().await;
        outcome.and(pool).and(closed)
    }

    async fn health(&self) -> Result<()> {
        match self.connection() {
            Ok(connection) => connection.publisher.ask().await,
            Err(error) => Err(error.operation("broker.health").with("address", self.address())),
        }
    }

    fn publish(&self, topic: &Topic, messages: Vec<Message>) -> Receipts {
        match self.connection() {
            Ok(connection) => connection.publisher.publish(topic, messages),
            Err(error) => Receipts::failed(messages.len(), &error.operation("broker.publish").with("topic", topic)),
        }
    }

    async fn ready(&self) -> Result<()> {
        let connection = self.connection()?;
        connection.publisher.ready().await
    }

    async fn subscribe(&self, topic: &Topic, options: SubscribeOptions) -> Result<Box<dyn Subscription>> {
        let named = |error: Error| error.operation("broker.subscribe").with("topic", topic);
        let connection = self.connection().map_err(named)?;
        if options.ordered && !self.capability().keys {
            return Err(named(Error::unsupported("kafka with dialect=gomicro", "order within a key across members")));
        }
        connection.subscribe(topic, &options).await
    }

    async fn transaction(&self) -> Result<Box<dyn Transaction>> {
        let connection = self.connection()?;
        let begun = KafkaTransaction::begin(&connection.publisher, &connection.pool, &connection.members).await;
        let begun = begun.map_err(|error| {
            error.operation("broker.transaction").with("address", connection.publisher.settings.address())
        })?;
        Ok(Box::new(begun))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Connection {
    async fn subscribe(&self, topic: &Topic, options: &SubscribeOptions) -> Result<Box<dyn Subscription>> {
        let publisher = &self.publisher;
        let address = publisher.settings.address();
        let producer = publisher.producer()?;
        publisher.topics.ensure(topic, &producer).await.map_err(|error| error.operation("broker.subscribe"))?;
        let group = match &options.queue {
            Some(queue) => queue.as_str().to_owned(),
            // Never joined and never committed to; the library wants a name.
            None => format!("micro-{}", uuid::Uuid::new_v4()),
        };
        let settings = &publisher.settings;
        let consumer: Consumer = settings
            .consumer(&group, options)
            .create_with_context(Events::new(Arc::clone(&publisher.watch)))
            .map_err(|error| convert("cannot make a Kafka consumer", &error).with("address", &address))?;
        if settings.dialect == Dialect::GoMicro
            && options.queue.is_some()
            && !old_subscription::write_version_0(&consumer)
        {
            tracing::warn!(%topic, "Go members that lead this queue cannot read this member's subscription: it stands still until none leads");
        }
        let member = Member::new(Arc::clone(publisher), topic, options);
        let consumer = Arc::new(consumer);
        member.lock().consumer = Some(Arc::clone(&consumer));
        // From here on, dropping this future leaves the queue again.
        let pulling = Box::new(Pulling::new(Arc::clone(&member)));
        self.remember(&member);
        let (live, is_live) = oneshot::channel();
        let theirs = Arc::clone(&member);
        let name = format!("kafka {topic}");
        let started = std::thread::Builder::new().name(name).spawn(move || {
            let has_retry_topic =
                theirs.retry_topic.as_ref().is_some_and(|topic| crate::assignment::is_there(&consumer, topic));
            Poller::new(theirs, consumer, has_retry_topic, live).run();
        });
        started.map_err(|error| Error::new(Kind::ResourceExhausted, "no thread can be started").source(error))?;
        let limit = options.lease + JOIN;
        match tokio::time::timeout(limit, is_live).await {
            Ok(Ok(Ok(()))) => Ok(pulling),
            Ok(Ok(Err(error))) => Err(error),
            Ok(Err(_)) => Err(closed().operation("broker.subscribe")),
            Err(_) => Err(Error::new(
                Kind::Timeout,
                format!("the servers gave the subscription no partitions within {limit:?}; look whether they are up, and whether a member of the queue hangs"),
            )
            .operation("broker.subscribe")
            .with("topic", topic)
            .with("address", address)),
        }
    }

    fn remember(&self, member: &Arc<Member>) {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.retain(|member| member.strong_count() > 0);
        members.push(Arc::downgrade(member));
    }
}

impl fmt::Debug for Kafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Kafka")
            .field("address", &state.options.address)
            .field("connected", &state.connection.is_some())
            .finish_non_exhaustive()
    }
}
