//! Which topics are known to be there, and how those that are not are made.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::time::{Duration, Instant};

use micro_core::broker::{Message, Topic};
use micro_core::{Error, Kind, Result};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::producer::{Producer as _, ThreadedProducer};

use crate::config::Settings;
use crate::context::Deliveries;
use crate::error::{convert, of_code};
use crate::native;
use crate::sent::Batch;

/// How long the servers may take to answer what there is.
pub(crate) const ASK: Duration = Duration::from_secs(10);
/// How long a new topic may take until every partition has a leader.
const SETTLE: Duration = Duration::from_secs(10);
/// As many topics are remembered.
const REMEMBERED: usize = 10_000;

/// A message that waits for its topic.
pub(crate) struct Parked {
    pub(crate) batch: Arc<Batch>,
    pub(crate) entry: usize,
    pub(crate) message: Message,
    pub(crate) bytes: usize,
}

/// What is known of a topic when something is published to it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum State {
    Ready,
    /// Somebody looks already.
    Looking,
    /// Nobody has looked yet; the caller must.
    Unknown,
}

enum Entry {
    Ready,
    Looking(Vec<Parked>),
}

pub(crate) struct Topics {
    settings: Arc<Settings>,
    known: RwLock<HashMap<Topic, Entry>>,
}

impl Topics {
    pub(crate) fn new(settings: Arc<Settings>) -> Self {
        Self { settings, known: RwLock::default() }
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<Topic, Entry>> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends if the topic is known, and says whether it was.
    pub(crate) fn with_ready(&self, topic: &Topic, send: impl FnOnce()) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let ready = matches!(known.get(topic), Some(Entry::Ready));
        if ready {
            send();
        }
        ready
    }

    /// Keeps messages until the topic is known; sends them at once if it has become so meanwhile.
    pub(crate) fn park(&self, topic: &Topic, mut parked: Vec<Parked>, send: impl FnOnce(Vec<Parked>)) -> State {
        let mut known = self.write();
        match known.get_mut(topic) {
            Some(Entry::Ready) => {
                send(parked);
                State::Ready
            }
            Some(Entry::Looking(waiting)) => {
                waiting.append(&mut parked);
                State::Looking
            }
            None => {
                if known.len() >= REMEMBERED {
                    known.retain(|_, entry| matches!(entry, Entry::Looking(_)));
                }
                known.insert(topic.clone(), Entry::Looking(parked));
                State::Unknown
            }
        }
    }

    /// Sends what waited, before anything that is published from now on.
    pub(crate) fn ready(&self, topic: &Topic, send: impl FnOnce(Vec<Parked>)) {
        let mut known = self.write();
        if let Some(Entry::Looking(parked)) = known.insert(topic.clone(), Entry::Ready) {
            send(parked);
        }
    }

    /// Gives back what waited; the next message looks anew.
    pub(crate) fn failed(&self, topic: &Topic) -> Vec<Parked> {
        match self.write().remove(topic) {
            Some(Entry::Looking(parked)) => parked,
            _ => Vec::new(),
        }
    }

    /// Forgets a topic that turned out not to be there.
    pub(crate) fn forget(&self, topic: &Topic) {
        let mut known = self.write();
        if matches!(known.get(topic), Some(Entry::Ready)) {
            known.remove(topic);
        }
    }

    /// Makes sure that a topic is there, and returns how many partitions it has.
    ///
    /// # Errors
    ///
    /// [`Kind::NotFound`] if it is not and may not be made here; what the servers answered.
    pub(crate) async fn ensure(&self, topic: &Topic, producer: &Arc<ThreadedProducer<Deliveries>>) -> Result<u32> {
        let failed = |error: Error| error.with("topic", topic).with("address", self.settings.address());
        match partitions(producer, topic).await.map_err(failed)? {
            Some((partitions, _)) => return Ok(partitions),
            None if !self.settings.create => {
                return Err(failed(Error::new(
                    Kind::NotFound,
                    "the topic is not there, and create=false forbids making it; create it on the servers",
                )));
            }
            None => self.create(topic, producer).await.map_err(failed)?,
        }
        let began = Instant::now();
        loop {
            if let Some((partitions, true)) = partitions(producer, topic).await.map_err(failed)? {
                return Ok(partitions);
            }
            if began.elapsed() > SETTLE {
                return Err(failed(Error::new(
                    Kind::Timeout,
                    format!("the topic was created, but its partitions had no leader within {SETTLE:?}"),
                )));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn create(&self, topic: &Topic, producer: &Arc<ThreadedProducer<Deliveries>>) -> Result<()> {
        let (settings, producer, name) = (Arc::clone(&self.settings), Arc::clone(producer), topic.clone());
        let made = tokio::task::spawn_blocking(move || {
            let size = (settings.partitions, settings.replication.unwrap_or(-1));
            native::create_topic(producer.client(), name.as_str(), size, &settings.topic_config, ASK)
        });
        match made.await.unwrap_or(Err(Code::Fail)) {
            Err(code) if code != Code::TopicAlreadyExists => {
                Err(of_code("the topic is not there and cannot be created", code))
            }
            _ => {
                tracing::info!(%topic, partitions = self.settings.partitions, "created the topic");
                Ok(())
            }
        }
    }
}

/// Asks how many partitions a topic has, and whether all have a leader; `None` if it is not there.
async fn partitions(producer: &Arc<ThreadedProducer<Deliveries>>, topic: &Topic) -> Result<Option<(u32, bool)>> {
    let (producer, topic) = (Arc::clone(producer), topic.clone());
    let asked = tokio::task::spawn_blocking(move || {
        let tried = "cannot ask the servers for the topic";
        let metadata =
            producer.client().fetch_metadata(Some(topic.as_str()), ASK).map_err(|error| convert(tried, &error))?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic.as_str()) else {
            return Ok(None);
        };
        match found.error().map(Code::from) {
            None | Some(Code::NoError) => {}
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::LeaderNotAvailable) => return Ok(None),
            Some(code) => return Err(of_code(tried, code)),
        }
        let led = found.partitions().iter().all(|partition| partition.leader() >= 0);
        let count = u32::try_from(found.partitions().len()).unwrap_or(u32::MAX);
        Ok((count > 0).then_some((count, led)))
    });
    asked.await.unwrap_or_else(|_| Err(crate::error::closed()))
}

impl fmt::Debug for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Topics")
    }
}
