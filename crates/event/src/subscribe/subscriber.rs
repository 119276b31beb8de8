use std::any::type_name;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use micro_core::broker::{Message, Start};
use micro_core::codec::Payload;
use micro_core::registry::{Endpoint, Value};

use super::batch::{BatchHandler, EventsHandler, TypedBatch};
use super::handler::{EventHandler, Handler, Reading};
use super::methods::{Methods, SubscriberMethods};
use crate::retry::{FOREVER, RetryPolicy};

/// A handler with the topic it hears and how it wants to; [`Events::subscribe`](crate::Events::subscribe) sets it to work.
///
/// Without [`queue`](Self::queue) it gets everything published while it is there; with one, it shares the topic's
/// messages with the queue's other members, and what comes while none is there waits.
#[must_use = "a subscriber hears nothing before it is given to subscribe"]
pub struct Subscriber {
    pub(crate) topic: String,
    pub(crate) work: Work,
    pub(crate) settings: Settings,
    endpoints: Vec<(String, Option<Value>)>,
}

/// Who does the work.
pub(crate) enum Work {
    Single(Arc<dyn Handler>),
    Batch(Arc<dyn BatchHandler>),
}

/// How a subscriber wants its messages.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) queue: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) concurrency: usize,
    pub(crate) ordered: bool,
    pub(crate) in_flight: usize,
    pub(crate) retry: RetryPolicy,
    pub(crate) time_limit: Duration,
    pub(crate) lease: Option<Duration>,
    pub(crate) start: Option<Start>,
    pub(crate) dead_letter: bool,
    pub(crate) max_crashes: u32,
    pub(crate) batch: (usize, Duration),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            queue: None,
            name: None,
            concurrency: 16,
            ordered: false,
            in_flight: 1024,
            retry: RetryPolicy::default(),
            time_limit: Duration::from_secs(60),
            lease: None,
            start: None,
            dead_letter: true,
            max_crashes: 10,
            batch: (100, Duration::from_millis(100)),
        }
    }
}

/// Makes a subscriber of a function: `async fn(Context, T) -> Result<()>`.
///
/// # Examples
///
/// ```
/// use micro_core::{Context, Result};
/// use micro_event::subscriber;
/// # use bytes::Bytes as OrderCreated;
///
/// async fn ship(_: Context, order: OrderCreated) -> Result<()> {
///     println!("shipping {order:?}");
///     Ok(())
/// }
///
/// let warehouse = subscriber("orders.created", ship).queue("warehouse").concurrency(4);
/// ```
pub fn subscriber<T: Payload, H: EventHandler<T>>(topic: impl AsRef<str>, handler: H) -> Subscriber {
    let work = Work::Single(Arc::new(Reading::typed(handler)));
    Subscriber::new(topic.as_ref(), work, vec![("Func".to_owned(), Some(T::describe()))])
}

/// Makes a subscriber that takes many events in one call; see [`Subscriber::batch`].
///
/// The handler answers for all by `Result<()>`, or for each by `Vec<Result<()>>`: only failed ones come again. Batches
/// come one at a time, unless [`concurrency`](Subscriber::concurrency) is set.
pub fn batch_subscriber<T: Payload, H: EventsHandler<T>>(topic: impl AsRef<str>, handler: H) -> Subscriber {
    let work = Work::Batch(Arc::new(TypedBatch::new(handler)));
    Subscriber::new(topic.as_ref(), work, vec![("Func".to_owned(), Some(T::describe()))]).concurrency(1)
}

/// Makes a subscriber of messages as they are, without decoding; retry, dead letter and lanes are the same.
pub fn raw_subscriber<H: EventHandler<Message>>(topic: impl AsRef<str>, handler: H) -> Subscriber {
    Subscriber::new(topic.as_ref(), Work::Single(Arc::new(Reading::raw(handler))), vec![("Func".to_owned(), None)])
}

/// Makes a subscriber of a value: all its methods get every message, at the same time, and all have to succeed.
///
/// A message of which one method failed is given to all of them again.
pub fn struct_subscriber<S: SubscriberMethods>(topic: impl AsRef<str>, value: S) -> Subscriber {
    let name = type_name::<S>().split('<').next().unwrap_or_default();
    let name = name.rsplit("::").next().unwrap_or(name);
    let methods = Arc::new(value).methods();
    let endpoints = methods.iter().map(|method| (format!("{name}.{}", method.name), Some(method.request.clone())));
    let endpoints = endpoints.collect();
    Subscriber::new(topic.as_ref(), Work::Single(Arc::new(Methods(methods))), endpoints)
}

impl Subscriber {
    fn new(topic: &str, work: Work, endpoints: Vec<(String, Option<Value>)>) -> Self {
        Self { topic: topic.to_owned(), work, settings: Settings::default(), endpoints }
    }

    /// Sets the queue to share.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.settings.queue = Some(queue.into());
        self
    }

    /// Names a subscriber without a queue, so that what it cannot handle goes to the dead letters under this name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.settings.name = Some(name.into());
        self
    }

    /// Sets how many handlers run at the same time: those of different keys, or of no key. Default 16; 0 counts as 1.
    pub fn concurrency(mut self, handlers: usize) -> Self {
        self.settings.concurrency = handlers.max(1);
        self
    }

    /// Holds back the later messages of a key while an earlier one waits for its retry; otherwise they go on meanwhile.
    ///
    /// The order of a key then holds through failures and across members. Refused where the broker does not declare
    /// `keys`. Messages without a key have no order.
    pub fn ordered(mut self) -> Self {
        self.settings.ordered = true;
        self
    }

    /// Sets how many messages may be here unsettled. Default 1,024; 0 counts as 1.
    pub fn in_flight(mut self, messages: usize) -> Self {
        self.settings.in_flight = messages.max(1);
        self
    }

    /// Sets how often, and with which pauses, a message is tried again.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.settings.retry = policy;
        self
    }

    /// Sets how long a handler may take; then it is cancelled, which counts as a failure. Default 60 s.
    ///
    /// A handler is cancelled at an `await`: one that blocks its thread is not.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.settings.time_limit = limit.min(FOREVER);
        self
    }

    /// Sets how long the broker waits for a member that fell silent, instead of 30 s. It is extended while handlers work.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.settings.lease = Some(lease.min(FOREVER));
        self
    }

    /// Sets where to begin. Unset: a queue goes on where it was, the first time at the earliest; without a queue it is
    /// from now on.
    pub fn start(mut self, start: Start) -> Self {
        self.settings.start = Some(start);
        self
    }

    /// Sets whether what cannot be handled is kept on `<topic>.dead`. Default yes, for a queue and for a named
    /// subscriber; otherwise it is logged and gone.
    pub fn dead_letter(mut self, keep: bool) -> Self {
        self.settings.dead_letter = keep;
        self
    }

    /// Sets how often a message may come without a handler having answered for it, before it counts as one that kills the
    /// process and goes to the dead letters. Default 10; works where the broker counts deliveries.
    ///
    /// Less than 3 is unjust: what a dying process had in its hands beside the guilty message is counted too, until the
    /// broker hands out the suspects one by one.
    pub fn max_crashes(mut self, crashes: u32) -> Self {
        self.settings.max_crashes = crashes.max(1);
        self
    }

    /// Sets how large a batch becomes, and how long it waits for that. Default 100 events, 100 ms.
    pub fn batch(mut self, max: usize, wait: Duration) -> Self {
        self.settings.batch = (max.max(1), wait.min(FOREVER));
        self
    }

    /// Returns the topic as it was given.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Returns the queue as it was given.
    #[must_use]
    pub fn queue_name(&self) -> Option<&str> {
        self.settings.queue.as_deref()
    }

    /// Returns what the registry shows of it: go-micro's `Func`, or `Type.Method` for each method of a struct.
    #[must_use]
    pub fn records(&self) -> Vec<Endpoint> {
        let record = |(name, request): &(String, Option<Value>)| {
            let endpoint = Endpoint::new(name).with("subscriber", "true").with("topic", &self.topic);
            match request {
                Some(request) => endpoint.request(request.clone()),
                None => endpoint,
            }
        };
        self.endpoints.iter().map(record).collect()
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber")
            .field("topic", &self.topic)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
