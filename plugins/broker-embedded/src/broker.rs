use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use async_trait::async_trait;
use micro_core::address::Address;
use micro_core::broker::{
    Broker, BrokerOptions, Capability, HEALTH_LIMIT, Message, Outcomes, Receipts, Settled, Start, SubscribeOptions,
    Subscription, Topic,
};
use micro_core::{Error, Kind, Result};
use tokio::sync::oneshot;

use crate::config::Settings;
use crate::cursor::Cursor;
use crate::error::closed;
use crate::folder::Folder;
use crate::job::Job;
use crate::member::Member;
use crate::publisher::{self, MAX_BODY};
use crate::subscription::Pulling;
use crate::tables::start::Found;

/// The embedded broker: durable topics and queues in a folder that all processes of a user share. No server, no port.
///
/// The address is the folder, `embedded:///var/lib/app`, or nothing for `MICRO_HOME`, else `~/.micro`. Parameters:
///
/// | parameter | default | means |
/// |---|---|---|
/// | `partitions` | 16 | partitions of the topics that this program makes |
/// | `retain_hours` | 168 | how long a message is kept |
/// | `retain_mb` | 1024 | how much of a topic is kept |
/// | `sync` | `always` | `never`: a receipt means written, and a power cut may lose it; the death of a process may not |
///
/// Retention goes by age and size, whatever the queues have done: one that falls behind it loses what is removed, and
/// says so in a warning with the number of messages.
///
/// # Examples
///
/// ```
/// use micro_broker_embedded::Embedded;
/// use micro_core::broker::{Broker, Message, Queue, SubscribeOptions, Topic};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let folder = tempfile::tempdir().unwrap();
/// # let folder = folder.path();
/// let broker = Embedded::at(folder);
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
pub struct Embedded {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    options: BrokerOptions,
    connection: Option<Connection>,
}

/// What a connected broker uses.
#[derive(Clone)]
struct Connection {
    folder: Arc<Folder>,
    settings: Arc<Settings>,
    members: Arc<Mutex<Vec<Weak<Member>>>>,
}

impl Embedded {
    /// Creates a broker on `MICRO_HOME`, else `~/.micro`. No I/O is done.
    #[must_use]
    pub fn new() -> Self {
        Self { state: Mutex::default() }
    }

    /// Creates a broker with options. No I/O is done.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`] for an unknown or senseless parameter of the address.
    pub fn with_options(options: BrokerOptions) -> Result<Self> {
        let broker = Self::new();
        broker.init(options)?;
        Ok(broker)
    }

    /// Creates a broker on a folder. No I/O is done.
    #[must_use]
    pub fn at(folder: impl AsRef<std::path::Path>) -> Self {
        // Set, not parsed: a path may hold what means something in an address.
        let address = Address::parse("embedded://").unwrap_or_default().with_path(folder.as_ref().to_string_lossy());
        let state = State { options: BrokerOptions::new().address(address), connection: None };
        Self { state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connection(&self) -> Result<Connection> {
        self.lock().connection.clone().ok_or_else(closed)
    }

    /// Returns the connection; a new one should the folder's writer be gone.
    async fn working(&self) -> Result<Connection> {
        if self.connection()?.folder.closed().is_some() {
            self.connect().await?;
        }
        self.connection()
    }
}

impl Default for Embedded {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Broker for Embedded {
    fn name(&self) -> &'static str {
        "embedded"
    }

    fn capability(&self) -> Capability {
        let mut capability = Capability::default();
        capability.persistent = true;
        capability.queues = true;
        capability.backlog = true;
        capability.keys = true;
        capability.replay = true;
        capability.seek = true;
        capability.pause = true;
        capability.retry = true;
        capability.attempts = true;
        capability.lease = true;
        capability.deliveries = true;
        capability.delay = true;
        capability.ttl = true;
        capability.partition = true;
        capability.publish_time = true;
        capability.header_case = true;
        capability.max_body = Some(MAX_BODY);
        capability
    }

    fn init(&self, options: BrokerOptions) -> Result<()> {
        Settings::read(&options.address)?;
        self.lock().options = options;
        Ok(())
    }

    fn options(&self) -> BrokerOptions {
        self.lock().options.clone()
    }

    fn address(&self) -> String {
        let settings = Settings::read(&self.lock().options.address).unwrap_or_default();
        settings.home().map_or_else(|_| "~/.micro".to_owned(), |folder| folder.display().to_string())
    }

    async fn connect(&self) -> Result<()> {
        let settings = {
            let mut state = self.lock();
            if state.connection.as_ref().is_some_and(|connection| connection.folder.closed().is_none()) {
                return Ok(());
            }
            state.connection = None;
            Arc::new(Settings::read(&state.options.address)?)
        };
        let theirs = Arc::clone(&settings);
        let folder = blocking(move || Folder::open(&theirs)).await?;
        let mut state = self.lock();
        state.connection.get_or_insert_with(|| Connection { folder, settings, members: Arc::default() });
        Ok(())
    }

    async fn disconnect(&self) -> Result<()> {
        let Some(connection) = self.lock().connection.take() else { return Ok(()) };
        let members: Vec<_> = {
            let mut members = connection.members.lock().unwrap_or_else(PoisonError::into_inner);
            members.drain(..).filter_map(|member| member.upgrade()).collect()
        };
        // All leave, in one commit, also where one cannot.
        let leave = |member: Arc<Member>| {
            member.stop(false);
            let (left, promise): (Settled, _) = Outcomes::pending(1);
            connection.folder.push(Job::Leave { member, promise: Some(promise) });
            left
        };
        let leaving: Vec<Settled> = members.into_iter().map(leave).collect();
        let mut outcome = Ok(());
        for left in leaving {
            outcome = outcome.and(left.first().await);
        }
        outcome.and(connection.folder.flush().await)
    }

    /// Reads the folder's database; one whose writer is gone is opened anew, as by the next that asks for anything.
    async fn health(&self) -> Result<()> {
        let asked = async {
            let folder = self.working().await?.folder;
            blocking(move || folder.readable()).await
        };
        let answer = tokio::time::timeout(HEALTH_LIMIT, asked).await.unwrap_or_else(|_| {
            let text = format!("the folder cannot be read within {HEALTH_LIMIT:?}; look whether its disk hangs");
            Err(Error::new(Kind::Timeout, text))
        });
        answer.map_err(|error| error.operation("broker.health").with("address", self.address()))
    }

    fn publish(&self, topic: &Topic, messages: Vec<Message>) -> Receipts {
        // One lock and three counters: the connection is not taken out of reach while messages are enqueued.
        match self.connection() {
            Ok(connection) => {
                publisher::publish(&connection.folder, &connection.settings, &self.capability(), topic, messages)
            }
            Err(error) => Receipts::failed(messages.len(), &error),
        }
    }

    async fn ready(&self) -> Result<()> {
        let connection = self.working().await?;
        connection.folder.ready().await
    }

    async fn subscribe(&self, topic: &Topic, options: SubscribeOptions) -> Result<Box<dyn Subscription>> {
        let connection = self.working().await?;
        let member = match options.queue.clone() {
            None => connection.attach(topic, &options).await?,
            Some(queue) => connection.join(topic, queue, &options).await?,
        };
        // From here on, dropping this future leaves the queue again.
        let pulling = Box::new(Pulling::new(Arc::clone(&member)));
        {
            let mut members = connection.members.lock().unwrap_or_else(PoisonError::into_inner);
            members.retain(|member| member.strong_count() > 0);
            members.push(Arc::downgrade(&member));
        }
        let folder = Arc::clone(&connection.folder);
        blocking(move || {
            folder.add(&member)?;
            // Between its joining and its listening the others may have given something away.
            member.balance();
            Ok(())
        })
        .await?;
        Ok(pulling)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Connection {
    /// Makes a member that gets everything.
    async fn attach(&self, topic: &Topic, options: &SubscribeOptions) -> Result<Arc<Member>> {
        let mut found = self.find(topic, Start::Latest).await?;
        if let Some(start) = options.start.filter(|start| *start != Start::Latest) {
            // One that names a position means its partition; the others begin at the latest.
            let wanted = self.find(topic, start).await?;
            found.offsets.retain(|(partition, _)| wanted.offsets.iter().all(|(other, _)| other != partition));
            found.offsets.extend(wanted.offsets);
        }
        let place = (found.topic, found.partitions);
        let member = Member::new(Arc::clone(&self.folder), topic.clone(), place, None, options);
        let mut state = member.lock();
        for (partition, offset) in found.offsets {
            member.add_share(&mut state, partition, 0, Cursor::at(offset));
        }
        drop(state);
        Ok(member)
    }

    async fn find(&self, topic: &Topic, start: Start) -> Result<Found> {
        let (reply, found) = oneshot::channel();
        let (topic, settings) = (topic.clone(), Arc::clone(&self.settings));
        self.folder.push(Job::Find { topic, start, settings, outcome: None, reply: Some(reply) });
        found.await.map_err(|_| closed())?
    }

    /// Makes a member of a queue.
    async fn join(
        &self,
        topic: &Topic,
        queue: micro_core::broker::Queue,
        options: &SubscribeOptions,
    ) -> Result<Arc<Member>> {
        let (reply, joined) = oneshot::channel();
        self.folder.push(Job::Join {
            topic: topic.clone(),
            queue: queue.clone(),
            options: options.clone(),
            settings: Arc::clone(&self.settings),
            outcome: None,
            reply: Some(reply),
        });
        let joined = joined.await.map_err(|_| closed())??;
        let place = (joined.topic, joined.partitions);
        let queue = Some((queue, joined.queue));
        let member = Member::new(Arc::clone(&self.folder), topic.clone(), place, queue, options);
        let mut state = member.lock();
        (state.id, state.until) = (joined.member, joined.until);
        member.own(&mut state, joined.owned);
        drop(state);
        Ok(member)
    }
}

/// Runs what waits for the disk where it keeps nobody else from working.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::new(Kind::Internal, "opening the embedded database was broken off").source(error))?
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").field("address", &self.address()).finish_non_exhaustive()
    }
}
