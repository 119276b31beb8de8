use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use micro_core::Result;
use micro_core::broker::Broker;
use micro_core::codec::{Format, Payload};
use micro_core::context::Propagation;
use micro_core::middleware::{Layers, Middleware};

use crate::subscribe::{Subscribed, Subscriber};
use crate::watch::{HandlerFailure, Observer};
use crate::{Event, run};

/// Typed publish and subscribe over one broker. A cheap clone.
///
/// # Examples
///
/// ```
/// # use micro_core::broker::{Broker, Memory};
/// use std::sync::Arc;
///
/// use micro_core::Context;
/// use micro_core::codec::json;
/// use micro_event::{Events, subscriber};
/// # use bytes::Bytes as Order;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let broker = Arc::new(Memory::new());
/// broker.connect().await?;
/// let events = Events::new(broker);
///
/// let (seen, mut orders) = tokio::sync::mpsc::channel(1);
/// let handler = move |_: Context, order: Order| {
///     let seen = seen.clone();
///     async move {
///         seen.send(order).await.ok();
///         Ok(())
///     }
/// };
/// let subscribed = events.subscribe(subscriber("orders.created", handler).queue("warehouse")).await?;
///
/// events.event::<Order>("orders.created").publish(&Order::from("order 7")).key("7").await?;
/// assert_eq!(orders.recv().await.unwrap(), "order 7");
/// subscribed.stop(std::time::Duration::from_secs(10)).await?;
/// # Ok::<(), micro_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Events(pub(crate) Arc<Settings>);

pub(crate) struct Settings {
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) service: Arc<str>,
    pub(crate) propagation: Propagation,
    pub(crate) timeout: Duration,
    pub(crate) format: Option<Format>,
    pub(crate) topic_header: bool,
    pub(crate) observers: Vec<Observer>,
    pub(crate) layers: Layers,
}

/// Makes [`Events`]; see [`Events::builder`].
#[must_use]
pub struct EventsBuilder(Settings);

impl Events {
    /// Creates events over a broker that somebody connects.
    #[must_use]
    pub fn new(broker: Arc<dyn Broker>) -> Self {
        Self::builder(broker).build()
    }

    /// Starts to make events with settings.
    pub fn builder(broker: Arc<dyn Broker>) -> EventsBuilder {
        EventsBuilder(Settings {
            broker,
            service: Arc::from(""),
            propagation: Propagation::default(),
            timeout: Duration::from_secs(30),
            format: None,
            topic_header: false,
            observers: Vec::new(),
            layers: Layers::default(),
        })
    }

    /// Returns the publisher of one type on one topic. A bad topic is said by the first publish.
    #[must_use]
    pub fn event<T: Payload>(&self, topic: impl AsRef<str>) -> Event<T> {
        Event::new(self, topic.as_ref())
    }

    /// Subscribes, and returns when the subscription is live: what is published after it arrives.
    ///
    /// Must be called within a tokio runtime; the handlers run on it.
    ///
    /// # Errors
    ///
    /// [`Kind::InvalidTopic`](micro_core::Kind::InvalidTopic) for a bad name,
    /// [`Kind::Unsupported`](micro_core::Kind::Unsupported) for what the broker does not declare,
    /// [`Kind::Timeout`](micro_core::Kind::Timeout) after 30 s, and what the broker says.
    pub async fn subscribe(&self, subscriber: Subscriber) -> Result<Subscribed> {
        run::subscribe(self, subscriber).await
    }

    /// Returns the broker, for messages without a type.
    #[must_use]
    pub fn broker(&self) -> &Arc<dyn Broker> {
        &self.0.broker
    }
}

impl EventsBuilder {
    /// Sets the name of the service; handlers find it in their context.
    pub fn service(mut self, name: impl Into<Arc<str>>) -> Self {
        self.0.service = name.into();
        self
    }

    /// Sets which metadata goes on from a handler to the events that it publishes.
    pub fn propagation(mut self, propagation: Propagation) -> Self {
        self.0.propagation = propagation;
        self
    }

    /// Sets how long a publish waits for its receipt. Default 30 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.timeout = timeout;
        self
    }

    /// Sets the format that events are written in, where their type has it; otherwise it is the type's own choice.
    pub fn content_type(mut self, format: Format) -> Self {
        self.0.format = Some(format);
        self
    }

    /// Sets whether `Micro-Topic` stands on every event, as receivers of the go-micro dialect ask. Default no.
    pub fn topic_header(mut self, on: bool) -> Self {
        self.0.topic_header = on;
        self
    }

    /// Adds a function that hears of every failure of a handler, as an alert or a test needs it; it must not block.
    pub fn on_failure(mut self, observer: impl Fn(&HandlerFailure<'_>) + Send + Sync + 'static) -> Self {
        self.0.observers.push(Arc::new(observer));
        self
    }

    /// Puts [middleware](micro_core::middleware) round the handlers of all subscribers, inside what was added before: round
    /// each delivery, or each batch. Its error is a failure of the handler and is tried again, one marked by
    /// [`reject`](crate::reject) is not; without an error the delivery is acknowledged, whether the handler ran or not.
    pub fn layer(mut self, middleware: impl Middleware) -> Self {
        self.0.layers.add(middleware);
        self
    }

    /// Makes the events.
    #[must_use]
    pub fn build(self) -> Events {
        Events(Arc::new(self.0))
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("broker", &self.0.broker.name()).finish_non_exhaustive()
    }
}

impl fmt::Debug for EventsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventsBuilder").field("broker", &self.0.broker.name()).finish_non_exhaustive()
    }
}
