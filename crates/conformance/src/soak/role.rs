//! The programs of a soak, as they run in processes of their own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use micro_core::broker::{Broker, Delivery, Message, Queue, SubscribeOptions, Subscription, Topic};
use tokio::time::sleep;

use super::book::{Book, Entry, Id, now};
use super::{IN_FLIGHT, KEYS};

/// The variable that tells a program what it is.
pub(super) const TASK: &str = "MICRO_SOAK_TASK";

/// The end of a round, for publishers: a file of this name in the round's folder.
pub(super) const ENOUGH: &str = "enough";

/// The end of a round, for everybody.
pub(super) const OVER: &str = "over";

/// How long a program tries again what a server that is away does not do.
const LIMIT: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(20);

/// Messages that a publisher has on their way at most.
const UNCONFIRMED: usize = 256;

/// What a program is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Task {
    /// `None` consumes; otherwise the publisher's place and the number that it begins with.
    pub(super) publish: Option<(usize, u64)>,
    pub(super) ordered: bool,
    pub(super) seed: u64,
    pub(super) lease: Duration,
    pub(super) topic: String,
    pub(super) queue: String,
    /// Where the signs of the end appear.
    pub(super) folder: PathBuf,
    /// Its book, in the folder.
    pub(super) book: String,
    pub(super) address: String,
}

impl Task {
    pub(super) fn to_line(&self) -> String {
        let (role, place, first) = self.publish.map_or(("consume", 0, 0), |(place, first)| ("publish", place, first));
        let Self { ordered, seed, lease, topic, queue, book, address, folder, .. } = self;
        let (lease, folder) = (lease.as_millis(), folder.display());
        let what = format!("{role}\t{place}\t{first}\t{ordered}\t{seed}\t{lease}");
        format!("{what}\t{topic}\t{queue}\t{book}\t{address}\t{folder}")
    }

    pub(super) fn from_line(line: &str) -> Option<Self> {
        let mut words = line.splitn(11, '\t');
        let publishes = words.next()? == "publish";
        let (place, first) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Self {
            publish: publishes.then_some((place, first)),
            ordered: words.next()?.parse().ok()?,
            seed: words.next()?.parse().ok()?,
            lease: Duration::from_millis(words.next()?.parse().ok()?),
            topic: words.next()?.to_owned(),
            queue: words.next()?.to_owned(),
            book: words.next()?.to_owned(),
            address: words.next()?.to_owned(),
            folder: PathBuf::from(words.next()?),
        })
    }

    fn is_over(&self, sign: &str) -> bool {
        self.folder.join(sign).exists()
    }
}

/// Does what a soak asks of this process; returns at once where none asks.
///
/// # Panics
///
/// If it cannot: the soak then fails, and shows the text.
pub fn role(client: impl FnOnce(&str) -> Arc<dyn Broker>) {
    let Ok(line) = std::env::var(TASK) else { return };
    let task = Task::from_line(&line).unwrap_or_else(|| panic!("{TASK}={line} is no task"));
    let book = Book::open(&task.folder.join(&task.book)).expect("the book can be opened");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime can be started").block_on(async {
        let broker = client(&task.address);
        patiently("connect", || broker.connect()).await;
        match task.publish {
            Some((place, first)) => publish(&task, &broker, &book, place, first).await,
            None => consume(&task, &broker, &book).await,
        }
        // A server that is killed at this moment may refuse what is left to say.
        let _ = broker.disconnect().await;
    });
}

/// Tries until it succeeds, within the limit.
async fn patiently<T, F: Future<Output = micro_core::Result<T>>>(what: &str, mut attempt: impl FnMut() -> F) -> T {
    let until = Instant::now() + LIMIT;
    loop {
        match attempt().await {
            Ok(done) => return done,
            Err(error) => assert!(Instant::now() < until, "{what}: not within {LIMIT:?}: {error}"),
        }
        sleep(PAUSE).await;
    }
}

/// The message of a number. Its length changes from one to the next, and all of it is checked.
fn message(id: Id) -> Message {
    Message::new(body(id)).key(format!("{}-{}", id.publisher, id.number % KEYS))
}

fn body(id: Id) -> String {
    let filler = usize::try_from(id.number % 199).unwrap_or_default();
    format!("{} {} {}", id.publisher, id.number, "x".repeat(filler))
}

/// The number of a message, if it is as it was published.
fn id(delivery: &Delivery) -> Option<Id> {
    let text = std::str::from_utf8(delivery.body()).ok()?;
    let mut words = text.split(' ');
    let id = Id { publisher: words.next()?.parse().ok()?, number: words.next()?.parse().ok()? };
    let expected = message(id);
    (text == body(id) && delivery.key() == expected.key.as_ref()).then_some(id)
}

async fn publish(task: &Task, broker: &Arc<dyn Broker>, book: &Book, publisher: usize, first: u64) {
    let topic = Topic::new(&task.topic).expect("the topic keeps the rule");
    let mut chance = fastrand::Rng::with_seed(task.seed);
    let mut next = first;
    let on_their_way = Arc::new(tokio::sync::Semaphore::new(UNCONFIRMED));
    let (confirmed, mut receipts) = tokio::sync::mpsc::unbounded_channel::<Vec<Entry>>();
    let writing = async {
        while let Some(entries) = receipts.recv().await {
            book.write(&entries).expect("the book can be written");
        }
    };
    let publishing = async {
        while !task.is_over(ENOUGH) {
            let ids: Vec<_> = (next..next + chance.u64(1..=16)).map(|number| Id { publisher, number }).collect();
            next += ids.len() as u64;
            let count = u32::try_from(ids.len()).unwrap_or(u32::MAX);
            let room = Arc::clone(&on_their_way).acquire_many_owned(count).await;
            patiently("room to publish", || broker.ready()).await;
            book.write(&ids.iter().copied().map(Entry::Try).collect::<Vec<_>>()).expect("the book can be written");
            let receipts = broker.publish(&topic, ids.iter().copied().map(message).collect());
            let confirmed = confirmed.clone();
            tokio::spawn(async move {
                let results = receipts.await;
                let known = ids.into_iter().zip(results).filter(|(_, result)| result.is_ok());
                let _ = confirmed.send(known.map(|(id, _)| Entry::Receipt(id)).collect::<Vec<_>>());
                drop(room);
            });
            sleep(Duration::from_micros(chance.u64(200..3000))).await;
        }
        drop(confirmed);
    };
    tokio::join!(writing, publishing);
}

async fn consume(task: &Task, broker: &Arc<dyn Broker>, book: &Book) {
    let topic = Topic::new(&task.topic).expect("the topic keeps the rule");
    let queue = Queue::new(&task.queue).expect("the queue keeps the rule");
    let mut options = SubscribeOptions::new().queue(queue).in_flight(IN_FLIGHT).lease(task.lease);
    options.ordered = task.ordered;
    let mut chance = fastrand::Rng::with_seed(task.seed);
    let mut subscription = patiently("subscribe", || broker.subscribe(&topic, options.clone())).await;
    while !task.is_over(OVER) {
        // More than may be out: it is the broker that has to keep the limit.
        let Ok(next) = tokio::time::timeout(PAUSE, subscription.next(2 * IN_FLIGHT)).await else { continue };
        let deliveries = next.expect("the subscription goes on").expect("the subscription is not over");
        handle(deliveries, book, &mut chance).await;
    }
    leave(subscription).await;
}

async fn handle(mut deliveries: Vec<Delivery>, book: &Book, chance: &mut fastrand::Rng) {
    let time = now();
    let entry = |delivery: &Delivery| match id(delivery) {
        Some(id) if delivery.attempts() > 0 || delivery.deliveries() > Some(1) => Entry::GotAgain(time, id),
        Some(id) => Entry::Got(time, id),
        None => Entry::Strange(format!("got {:?}", delivery.message())),
    };
    let got: Vec<_> = deliveries.iter().map(entry).collect();
    book.write(&got).expect("the book can be written");
    if chance.u8(..4) == 0 {
        sleep(Duration::from_micros(chance.u64(..5000))).await;
    }
    chance.shuffle(&mut deliveries);
    let (mut intents, mut answers) = (Vec::new(), Vec::new());
    for delivery in deliveries {
        let Some(id) = id(&delivery) else { continue };
        let again = chance.u8(..50) == 0;
        intents.push(if again { Entry::Retry(now(), id) } else { Entry::Ack(now(), id) });
        answers.push(async move {
            match again {
                true => delivery.retry(Duration::from_millis(5)).await.ok().and(None),
                false => Some((id, delivery.ack().await.is_ok())),
            }
        });
    }
    book.write(&intents).expect("the book can be written");
    let answers = join_all(answers).await.into_iter().flatten();
    let time = now();
    let entry = |(id, confirmed)| if confirmed { Entry::Done(time, id) } else { Entry::Unsure(time, id) };
    book.write(&answers.map(entry).collect::<Vec<_>>()).expect("the book can be written");
}

async fn leave(subscription: Box<dyn Subscription>) {
    let _ = subscription.unsubscribe().await;
}

/// Tells the programs of a round.
pub(super) fn sign(folder: &Path, sign: &str) -> std::io::Result<()> {
    std::fs::write(folder.join(sign), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_read_as_it_was_written() {
        let mut task = Task {
            publish: Some((1, 700)),
            ordered: true,
            seed: 9,
            lease: Duration::from_secs(6),
            topic: "soak.a".to_owned(),
            queue: "workers".to_owned(),
            folder: PathBuf::from("/somewhere/with a blank"),
            book: "publisher-1-2".to_owned(),
            address: "kafka://127.0.0.1:1?a=b&c=d".to_owned(),
        };
        assert_eq!(Task::from_line(&task.to_line()), Some(task.clone()));
        task.publish = None;
        assert_eq!(Task::from_line(&task.to_line()), Some(task));
    }
}
