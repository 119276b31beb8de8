//! What the tests share: an event type, a connected broker, fresh names, and waiting with a limit.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use micro_core::broker::{Broker, Capability, Memory};
use micro_core::codec::{Format, Payload, no_such_format, protobuf};
use micro_core::{Context, Result};
use micro_event::Events;

/// So long a test waits for what must come.
pub(crate) const LIMIT: Duration = Duration::from_secs(15);
/// So long a test waits for what must not come.
pub(crate) const QUIET: Duration = Duration::from_millis(300);

/// A message as `micro-build` writes it, but for JSON.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub(crate) struct Order {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    #[prost(uint32, tag = "2")]
    pub(crate) number: u32,
}

impl Order {
    pub(crate) fn new(id: &str, number: u32) -> Self {
        Self { id: id.to_owned(), number }
    }
}

impl Payload for Order {
    const FORMATS: &'static [Format] = &[Format::Protobuf];

    fn encode(&self, format: Format, buffer: &mut BytesMut) -> Result<()> {
        match format {
            Format::Protobuf => protobuf::encode(self, buffer),
            other => Err(no_such_format::<Self>(other)),
        }
    }

    fn decode(format: Format, body: Bytes) -> Result<Self> {
        match format {
            Format::Protobuf => protobuf::decode(body),
            other => Err(no_such_format::<Self>(other)),
        }
    }
}

pub(crate) fn topic() -> String {
    format!("orders.{}", uuid::Uuid::new_v4().simple())
}

pub(crate) async fn memory() -> Events {
    events(Memory::new()).await
}

/// A broker that can do less.
pub(crate) async fn restricted(change: impl FnOnce(&mut Capability)) -> Events {
    events(Memory::new().restrict(change)).await
}

pub(crate) async fn events(broker: impl Broker) -> Events {
    broker.connect().await.unwrap();
    Events::builder(Arc::new(broker)).service("shop").build()
}

/// What handlers saw.
#[derive(Clone)]
pub(crate) struct Seen<T>(Arc<Mutex<Vec<T>>>, Arc<tokio::sync::Notify>);

impl<T: Clone + Send + 'static> Seen<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::default(), Arc::default())
    }

    pub(crate) fn push(&self, value: T) {
        self.0.lock().unwrap().push(value);
        self.1.notify_one();
    }

    pub(crate) fn all(&self) -> Vec<T> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Waits until there are so many, and returns them.
    pub(crate) async fn wait(&self, count: usize) -> Vec<T> {
        let enough = async {
            while self.len() < count {
                self.1.notified().await;
            }
        };
        let late = tokio::time::timeout(LIMIT, enough).await.is_err();
        assert!(!late, "{} of {count} came within {LIMIT:?}", self.len());
        self.all()
    }

    /// Waits a while, and checks that no more come.
    pub(crate) async fn stays(&self, count: usize) -> Vec<T> {
        let seen = self.wait(count).await;
        tokio::time::sleep(QUIET).await;
        assert_eq!(self.len(), count, "more came than should");
        seen
    }

    /// Makes a handler that keeps what it sees.
    pub(crate) fn handler(&self) -> impl Fn(Context, T) -> std::future::Ready<Result<()>> + Send + Sync + 'static {
        let seen = self.clone();
        move |_, value| {
            seen.push(value);
            std::future::ready(Ok(()))
        }
    }
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let held = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(LIMIT, held).await.is_ok(), "{what}: not within {LIMIT:?}");
}
