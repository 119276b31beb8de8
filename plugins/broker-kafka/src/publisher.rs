use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use micro_core::broker::{Capability, HEALTH_LIMIT, Message, Outcomes, Receipts, Topic};
use micro_core::{Error, Kind, Result};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use tokio::sync::Notify;

use crate::config::{Dialect, Settings};
use crate::context::{Deliveries, Watch};
use crate::convert;
use crate::error::{closed, convert, of_code};
use crate::native;
use crate::sent::{Batch, Sent};
use crate::topics::{Parked, State, Topics};

/// How many times what `ready` waits at is refused.
const REFUSE: usize = 4;

/// One message in the number that counts messages and bytes; bytes have 40 bits.
const ONE: u64 = 1 << 40;

fn split(load: u64) -> (usize, usize) {
    ((load / ONE) as usize, (load % ONE) as usize)
}

/// How much is on its way to the servers.
#[derive(Debug)]
pub(crate) struct Flow {
    /// From how many messages, or bytes, on `ready` waits.
    ready: (usize, usize),
    /// Messages, and below them bytes: one number, so that a message costs one access.
    load: AtomicU64,
    /// Messages that were refused, here or by the servers.
    refused: AtomicUsize,
    room: Notify,
}

impl Flow {
    fn new(ready: (usize, usize)) -> Self {
        Self { ready, load: AtomicU64::new(0), refused: AtomicUsize::new(0), room: Notify::new() }
    }

    /// Where messages are refused.
    fn refuses_at(&self) -> (usize, usize) {
        (self.ready.0 * REFUSE, self.ready.1 * REFUSE)
    }

    fn add(&self, bytes: usize) {
        self.load.fetch_add(ONE | bytes as u64, Ordering::Relaxed);
    }

    /// Notes a message that is not on its way any more.
    pub(crate) fn remove(&self, bytes: usize) {
        let before = split(self.load.fetch_sub(ONE | bytes as u64, Ordering::AcqRel));
        let crossed = |before: usize, by: usize, line: usize| before >= line && before - by < line;
        if before.0 == 1 || crossed(before.0, 1, self.ready.0) || crossed(before.1, bytes, self.ready.1) {
            self.room.notify_waiters();
        }
    }

    /// Counts a message that was refused, here or by the servers.
    pub(crate) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::AcqRel);
    }

    fn is_over(&self, limit: (usize, usize)) -> bool {
        let (messages, bytes) = split(self.load.load(Ordering::Acquire));
        messages >= limit.0 || bytes >= limit.1
    }

    fn is_empty(&self) -> bool {
        self.load.load(Ordering::Acquire) == 0
    }

    /// Waits until a condition holds; it is looked at whenever one of our lines is crossed.
    async fn until(&self, holds: impl Fn(&Self) -> bool) {
        loop {
            let mut room = std::pin::pin!(self.room.notified());
            room.as_mut().enable();
            if holds(self) {
                return;
            }
            room.await;
        }
    }
}

/// The way out: one producer for all topics.
pub(crate) struct Publisher {
    pub(crate) settings: Arc<Settings>,
    pub(crate) topics: Arc<Topics>,
    pub(crate) watch: Arc<Watch>,
    capability: Capability,
    address: Arc<str>,
    flow: Arc<Flow>,
    closed: AtomicBool,
    /// A transaction must not go on with another producer.
    transactional: bool,
    producer: Mutex<Option<Arc<ThreadedProducer<Deliveries>>>>,
}

impl Publisher {
    /// Makes the producer; it dials by itself.
    pub(crate) fn new(settings: Arc<Settings>, capability: Capability, watch: Arc<Watch>) -> Result<Self> {
        let topics = Arc::new(Topics::new(Arc::clone(&settings)));
        let config = settings.producer();
        Self::with_config(settings, capability, watch, topics, &config, false)
    }

    /// Makes another producer beside this one, for transactions.
    pub(crate) fn transactional(&self, id: &str) -> Result<Self> {
        let mut config = self.settings.producer();
        config.set("transactional.id", id);
        // A transaction that is not ended within this time is forgotten by the servers.
        config.set("transaction.timeout.ms", self.settings.timeout.as_millis().max(10_000).to_string());
        let (settings, watch, topics) = (Arc::clone(&self.settings), Arc::clone(&self.watch), Arc::clone(&self.topics));
        Self::with_config(settings, self.capability, watch, topics, &config, true)
    }

    fn with_config(
        settings: Arc<Settings>,
        capability: Capability,
        watch: Arc<Watch>,
        topics: Arc<Topics>,
        config: &ClientConfig,
        transactional: bool,
    ) -> Result<Self> {
        let flow = Arc::new(Flow::new(settings.buffer));
        let context = Deliveries { watch: Arc::clone(&watch), flow: Arc::clone(&flow), topics: Arc::clone(&topics) };
        let producer =
            config.create_with_context(context).map_err(|error| convert("cannot make a Kafka producer", &error))?;
        Ok(Self {
            transactional,
            topics,
            address: settings.address().into(),
            settings,
            watch,
            capability,
            flow,
            closed: AtomicBool::new(false),
            producer: Mutex::new(Some(Arc::new(producer))),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<ThreadedProducer<Deliveries>>>> {
        self.producer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn producer(&self) -> Result<Arc<ThreadedProducer<Deliveries>>> {
        self.lock().clone().ok_or_else(closed)
    }

    /// Enqueues messages in order; the first ones for a topic wait until it is known to be there.
    pub(crate) fn publish(self: &Arc<Self>, topic: &Topic, messages: Vec<Message>) -> Receipts {
        if self.closed.load(Ordering::Acquire) {
            return Receipts::failed(messages.len(), &closed().operation("broker.publish").with("topic", topic));
        }
        let producer = match self.producer() {
            Ok(producer) => producer,
            Err(error) => return Receipts::failed(messages.len(), &error),
        };
        let (receipts, promise) = Outcomes::pending(messages.len());
        let batch = Batch::new(topic.clone(), Arc::clone(&self.address), &messages, promise);
        // A plain read, unless the topic is new here.
        if self.topics.with_ready(topic, || self.send_all(&producer, &batch, &messages)) {
            return receipts;
        }
        let parked = self.check_all(&batch, messages);
        match self.topics.park(topic, parked, |parked| self.send_parked(&producer, parked)) {
            State::Ready | State::Looking => {}
            State::Unknown => {
                let this = Arc::clone(self);
                let topic = topic.clone();
                tokio::spawn(async move { this.look_for(topic).await });
            }
        }
        receipts
    }

    /// Finds or makes a topic, and then sends what waits for it, or says that it cannot.
    async fn look_for(self: Arc<Self>, topic: Topic) {
        let found = match self.producer() {
            Ok(producer) => self.topics.ensure(&topic, &producer).await.map(|_| producer),
            Err(error) => Err(error),
        };
        match found {
            Ok(producer) => self.topics.ready(&topic, |parked| self.send_parked(&producer, parked)),
            Err(error) => {
                for Parked { batch, entry, bytes, .. } in self.topics.failed(&topic) {
                    self.flow.remove(bytes);
                    batch.refuse(entry, error.duplicate(), &self.flow);
                }
            }
        }
    }

    fn send_all(&self, producer: &ThreadedProducer<Deliveries>, batch: &Arc<Batch>, messages: &[Message]) {
        for (entry, message) in messages.iter().enumerate() {
            if let Err(error) = self.check(message) {
                batch.refuse(entry, error, &self.flow);
                continue;
            }
            let bytes = message.body.len();
            self.flow.add(bytes);
            self.send(producer, batch.topic().as_str(), message, Sent::new(batch, entry));
        }
    }

    fn check_all(&self, batch: &Arc<Batch>, messages: Vec<Message>) -> Vec<Parked> {
        let mut parked = Vec::with_capacity(messages.len());
        for (entry, message) in messages.into_iter().enumerate() {
            match self.check(&message) {
                Ok(()) => {
                    let bytes = message.body.len();
                    self.flow.add(bytes);
                    parked.push(Parked { batch: Arc::clone(batch), entry, message, bytes });
                }
                Err(error) => batch.refuse(entry, error, &self.flow),
            }
        }
        parked
    }

    fn send_parked(&self, producer: &ThreadedProducer<Deliveries>, parked: Vec<Parked>) {
        for Parked { batch, entry, message, .. } in parked {
            self.send(producer, batch.topic().as_str(), &message, Sent::new(&batch, entry));
        }
    }

    fn check(&self, message: &Message) -> Result<()> {
        message.check("kafka", &self.capability)?;
        let (messages, bytes) = self.flow.refuses_at();
        if self.flow.is_over((messages, bytes)) {
            let text = format!(
                "{messages} messages or {} KiB are on their way to Kafka; wait for ready() before publishing",
                bytes >> 10
            );
            return Err(Error::new(Kind::ResourceExhausted, text));
        }
        Ok(())
    }

    fn send(&self, producer: &ThreadedProducer<Deliveries>, topic: &str, message: &Message, sent: Sent) {
        let outgoing = match convert::outgoing(message, self.settings.dialect) {
            Ok(outgoing) => outgoing,
            Err(error) => return sent.refused(error, &self.flow),
        };
        let body: &[u8] = match &outgoing.body {
            Cow::Borrowed(body) => body,
            Cow::Owned(body) => body,
        };
        let record = BaseRecord {
            topic,
            partition: outgoing.partition,
            payload: Some(body),
            key: outgoing.key,
            timestamp: None,
            headers: outgoing.headers,
            delivery_opaque: sent,
        };
        let sent = match producer.send(record) {
            Err((KafkaError::MessageProduction(Code::Fatal), record)) if !self.transactional => {
                match self.renew(producer) {
                    Ok(producer) => producer.send(record),
                    Err(error) => return record.delivery_opaque.refused(error, &self.flow),
                }
            }
            sent => sent,
        };
        if let Err((error, record)) = sent {
            let tried = match error {
                KafkaError::MessageProduction(Code::MessageSizeTooLarge) => format!(
                    "the message of {} bytes, with its headers, is over max_message_bytes={}",
                    body.len(),
                    self.settings.max_message_bytes
                ),
                _ => "the message was not published".to_owned(),
            };
            record.delivery_opaque.refused(convert(tried, &error), &self.flow);
        }
    }

    /// Replaces a producer that takes nothing any more: the servers and it do not agree on what was sent. What it still has
    /// is refused by it.
    fn renew(&self, dead: &ThreadedProducer<Deliveries>) -> Result<Arc<ThreadedProducer<Deliveries>>> {
        let mut current = self.lock();
        match &*current {
            None => return Err(closed()),
            Some(other) if !std::ptr::eq(&**other, dead) => return Ok(Arc::clone(other)),
            Some(_) => {}
        }
        let (watch, flow, topics) = (Arc::clone(&self.watch), Arc::clone(&self.flow), Arc::clone(&self.topics));
        let made = self.settings.producer().create_with_context(Deliveries { watch, flow, topics });
        let made: ThreadedProducer<_> = made.map_err(|error| convert("cannot make a Kafka producer", &error))?;
        tracing::warn!(address = %self.address, why = ?dead.client().fatal_error(), "the producer is made anew");
        let made = Arc::new(made);
        let dead = current.replace(Arc::clone(&made));
        // Ending it blocks.
        std::thread::spawn(move || drop(dead));
        Ok(made)
    }

    /// Waits until all that was published is confirmed or refused, and returns how many were refused since last asked.
    pub(crate) async fn flush(&self) -> usize {
        self.flow.until(Flow::is_empty).await;
        self.flow.refused.swap(0, Ordering::AcqRel)
    }

    pub(crate) async fn ready(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(closed().operation("broker.ready"));
        }
        self.flow.until(|flow| !flow.is_over(flow.ready) || self.closed.load(Ordering::Acquire)).await;
        if self.closed.load(Ordering::Acquire) { Err(closed().operation("broker.ready")) } else { Ok(()) }
    }

    /// Waits until one server answers; fails at once where waiting does not help.
    pub(crate) async fn reach(&self) -> Result<()> {
        self.watch.forget();
        let limit = self.settings.connect_timeout;
        let producer = self.producer()?;
        // Whoever gives up waiting ends the asking too: a client that asks on dials on.
        let asking = Arc::new(());
        let wanted = Arc::downgrade(&asking);
        let asked = tokio::task::spawn_blocking(move || {
            let until = Instant::now() + limit;
            while wanted.strong_count() > 0 {
                let left = until.saturating_duration_since(Instant::now());
                if producer.client().fetch_cluster_id(left.min(ASK_FOR)).is_some() {
                    return Ok(());
                }
                if left <= ASK_FOR {
                    break;
                }
            }
            Err(Code::OperationTimedOut)
        });
        let permanent = async {
            loop {
                match self.watch.trouble() {
                    Some((code, text)) if is_permanent(code, &text) => return (code, text),
                    _ => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        let (mut code, text) = tokio::select! {
            biased;
            answer = asked => match answer {
                Ok(Ok(())) => return Ok(()),
                _ => self.watch.trouble().unwrap_or((Code::OperationTimedOut, String::new())),
            },
            trouble = permanent => trouble,
        };
        drop(asking);
        if text.contains(HANDSHAKE) {
            code = Code::SSL;
        }
        let mut tried = format!("cannot reach Kafka within {limit:?}");
        if matches!(code, Code::AllBrokersDown | Code::OperationTimedOut) {
            tried += " (a server that wants TLS or an account closes other connections without a word: look at ?tls= and ?sasl= too)";
        }
        let mut error = of_code(tried, code);
        if !text.is_empty() {
            error = error.with("said", text);
        }
        Err(error.operation("broker.connect").with("address", &self.address))
    }

    /// Asks a server whether it answers now.
    pub(crate) async fn ask(&self) -> Result<()> {
        let asked = async {
            let producer = self.producer()?;
            let asking = tokio::task::spawn_blocking(move || native::ask(producer.client(), HEALTH_LIMIT));
            let answer =
                asking.await.map_err(|error| Error::new(Kind::Internal, "the asking broke off").source(error))?;
            answer.map_err(|code| of_code("Kafka does not answer", code))
        };
        // The library counts its own time only, and the thread may come late.
        let answer = tokio::time::timeout(HEALTH_LIMIT, asked).await.unwrap_or_else(|_| {
            let tried = format!("Kafka does not answer within {HEALTH_LIMIT:?}");
            Err(of_code(tried, Code::OperationTimedOut))
        });
        answer.map_err(|error| error.operation("broker.health").with("address", &self.address))
    }

    /// Sends what is queued and ends. What is not confirmed in time is said in the receipts.
    pub(crate) async fn close(&self) -> Result<()> {
        self.closed.store(true, Ordering::Release);
        self.flow.room.notify_waiters();
        // Each record has its own limit, so that this one only guards.
        let limit = self.settings.timeout + Duration::from_secs(5);
        let began = Instant::now();
        let sent = tokio::time::timeout(limit, self.flow.until(Flow::is_empty)).await;
        let producer = self.lock().take();
        // Ending the producer joins its thread.
        let ended = tokio::task::spawn_blocking(move || drop(producer)).await;
        match (sent, ended) {
            (Ok(()), Ok(())) => Ok(()),
            _ => Err(Error::new(
                Kind::Timeout,
                format!("not everything was sent within {:?}; the receipts say what was not", began.elapsed()),
            )
            .operation("broker.disconnect")
            .with("address", &self.address)),
        }
    }

    /// Tells what dialect records are written in.
    pub(crate) fn dialect(&self) -> Dialect {
        self.settings.dialect
    }
}

/// How long `connect` asks before it looks whether anybody still waits for the answer.
const ASK_FOR: Duration = Duration::from_millis(100);

/// What the library calls a failed TLS handshake, some of which it counts as lost connections.
const HANDSHAKE: &str = "SSL handshake failed";

/// Tells whether waiting for another answer is no use.
fn is_permanent(code: Code, text: &str) -> bool {
    matches!(code, Code::SSL | Code::Authentication | Code::UnsupportedSASLMechanism) || text.contains(HANDSHAKE)
}

impl Drop for Publisher {
    fn drop(&mut self) {
        // Not closed: ending the producer blocks, which a thread of the runtime must not.
        if let Some(producer) = self.lock().take() {
            std::thread::spawn(move || drop(producer));
        }
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("address", &self.address).field("flow", &self.flow).finish_non_exhaustive()
    }
}
