//! Taking partitions over and giving them away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use micro_core::broker::{Position, Queue, Start, Topic};
use micro_core::{Error, Kind, Result};
use rdkafka::consumer::{Consumer as _, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::checkpoint::Checkpoint;
use crate::config::Dialect;
use crate::context::{Consumer, Rebalance};
use crate::doubt::{self, Shared};
use crate::error::{convert, of_code};
use crate::member::Member;
use crate::native;
use crate::share::{Share, Source};
use crate::topics::ASK;
use crate::window::Window;

/// How long a round that failed waits.
const AGAIN: Duration = Duration::from_millis(100);

/// Where a partition begins, for a new owner.
struct Beginning {
    source: Source,
    partition: i32,
    /// `None` is the oldest that is kept, whatever its offset.
    offset: Option<i64>,
    checkpoint: Checkpoint,
    /// It is a choice that must hold for those who come after.
    keep: bool,
}

/// Takes over what the group gave, each partition from where the last owner was.
pub(crate) fn assign(member: &Arc<Member>, consumer: &Arc<Consumer>, partitions: &[(String, i32)]) -> Result<()> {
    let beginnings = beginnings(member, consumer, partitions)?;
    take_over(member, consumer, beginnings)
}

/// Takes all partitions of the topic that it does not have yet: what a subscription without a queue reads.
pub(crate) fn everything(member: &Arc<Member>, consumer: &Arc<Consumer>) -> Result<()> {
    let Some(count) = partitions(consumer, &member.topic)? else {
        return Err(of_code("the topic cannot be read", Code::UnknownTopicOrPartition));
    };
    let known = {
        let state = member.lock();
        let known: Vec<i32> = state.shares.values().map(|share| share.partition).collect();
        known
    };
    let new: Vec<i32> = (0..count).filter(|partition| !known.contains(partition)).collect();
    if new.is_empty() {
        return Ok(());
    }
    // A partition that is added later holds nothing that was there before the subscription.
    let start = if known.is_empty() { member.start.unwrap_or(Start::Latest) } else { Start::Earliest };
    let offsets = starts(member, consumer, &member.topic, &new, start, Start::Latest)?;
    let beginnings = new.into_iter().zip(offsets).map(|(partition, offset)| Beginning {
        source: Source::Main,
        partition,
        offset,
        checkpoint: Checkpoint::default(),
        keep: false,
    });
    take_over(member, consumer, beginnings.collect())
}

fn take_over(member: &Arc<Member>, consumer: &Arc<Consumer>, beginnings: Vec<Beginning>) -> Result<()> {
    let mut list = TopicPartitionList::new();
    let mut shares = Vec::with_capacity(beginnings.len());
    for beginning in beginnings {
        let topic = member.topic_of(beginning.source);
        let offset = beginning.offset.map_or(Offset::Beginning, Offset::Offset);
        list.add_partition_offset(topic, beginning.partition, offset)
            .map_err(|error| convert("cannot take over a partition", &error))?;
        // Split off before it is assigned, so that none of its messages goes another way.
        let Some(mut queue) = consumer.split_partition_queue(topic, beginning.partition) else {
            return Err(Error::new(Kind::Internal, "a partition has no queue of its own"));
        };
        let arrived = Arc::clone(&member.arrived);
        queue.set_nonempty_callback(move || arrived.notify_one());
        let window = Window::new(beginning.offset, beginning.checkpoint);
        let Some(messages) = native::Partition::of(consumer, topic, beginning.partition) else {
            return Err(Error::new(Kind::Internal, "a partition has no queue of its own"));
        };
        let mut share = Share::new(beginning.source, beginning.partition, queue, messages, window);
        share.dirty = beginning.keep;
        shares.push(share);
    }
    let assigned = match (&member.queue, consumer.rebalance_protocol()) {
        (None, _) | (_, RebalanceProtocol::Cooperative) => consumer.incremental_assign(&list),
        _ => consumer.assign(&list),
    };
    assigned.map_err(|error| convert("cannot take over partitions", &error))?;
    let mut state = member.lock();
    for share in shares {
        tracing::debug!(topic = %member.topic, queue = ?member.queue, partition = share.partition, "took a partition over");
        member.add_share(&mut state, share);
    }
    member.commit(&mut state);
    drop(state);
    member.arrived.notify_one();
    Ok(())
}

fn beginnings(member: &Member, consumer: &Consumer, partitions: &[(String, i32)]) -> Result<Vec<Beginning>> {
    let mut list = TopicPartitionList::new();
    for (topic, partition) in partitions {
        list.add_partition(topic, *partition);
    }
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let tried = "cannot ask the servers how far the queue is";
    let list = consumer.committed_offsets(list, ASK).map_err(|error| convert(tried, &error))?;
    let texts = native::metadata(&list);
    let mut known = Vec::new();
    let mut new = Vec::new();
    for (element, text) in list.elements().iter().zip(texts) {
        element.error().map_err(|error| convert(tried, &error))?;
        let source = if element.topic() == member.topic.as_str() { Source::Main } else { Source::Retry };
        match element.offset() {
            Offset::Offset(offset) => known.push(Beginning {
                source,
                partition: element.partition(),
                offset: Some(offset),
                checkpoint: Checkpoint::read(offset, &text),
                keep: false,
            }),
            // What waits on the retry topic was never read: all of it.
            _ if source == Source::Retry => {
                known.push(Beginning {
                    source,
                    partition: element.partition(),
                    offset: None,
                    checkpoint: Checkpoint::default(),
                    keep: false,
                });
            }
            _ => new.push(element.partition()),
        }
    }
    let default = match member.publisher.dialect() {
        Dialect::Native { .. } => Start::Earliest,
        Dialect::GoMicro => Start::Latest,
    };
    let offsets = starts(member, consumer, &member.topic, &new, member.start.unwrap_or(default), default)?;
    known.extend(new.into_iter().zip(offsets).map(|(partition, offset)| Beginning {
        source: Source::Main,
        partition,
        offset,
        checkpoint: Checkpoint::default(),
        // A later owner would choose anew, and skip what came meanwhile.
        keep: offset.is_some(),
    }));
    Ok(known)
}

/// Finds where partitions begin for a start, in their order; `None` is the oldest that is kept.
///
/// # Errors
///
/// [`Kind::NotFound`] for a position that is not there.
pub(crate) fn starts(
    member: &Member,
    consumer: &Consumer,
    topic: &Topic,
    partitions: &[i32],
    start: Start,
    others: Start,
) -> Result<Vec<Option<i64>>> {
    let tried = "cannot ask the servers where to begin";
    let marks = |partition: i32| {
        patiently(|| consumer.fetch_watermarks(topic.as_str(), partition, ASK)).map_err(|error| convert(tried, &error))
    };
    match start {
        Start::Earliest => Ok(partitions.iter().map(|_| None).collect()),
        Start::Latest => partitions.iter().map(|partition| Ok(Some(marks(*partition)?.1))).collect(),
        Start::Time(time) => {
            let millis = time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_millis();
            let millis = i64::try_from(millis).unwrap_or(i64::MAX);
            let mut list = TopicPartitionList::new();
            for partition in partitions {
                list.add_partition_offset(topic.as_str(), *partition, Offset::Offset(millis))
                    .map_err(|error| convert(tried, &error))?;
            }
            let list =
                patiently(|| consumer.offsets_for_times(list.clone(), ASK)).map_err(|error| convert(tried, &error))?;
            let find = |partition: &i32| match list.find_partition(topic.as_str(), *partition).map(|e| e.offset()) {
                Some(Offset::Offset(offset)) => Ok(Some(offset)),
                // Nothing is that new yet.
                _ => Ok(Some(marks(*partition)?.1)),
            };
            partitions.iter().map(find).collect()
        }
        Start::At(Position::Offset { partition: wanted, offset }) => {
            let count = self::partitions(consumer, topic)?.unwrap_or(0);
            if i64::from(wanted) >= i64::from(count) {
                return Err(nowhere(member, format!("the topic has {count} partitions, from 0 on: no {wanted}")));
            }
            let rest = starts(member, consumer, topic, partitions, others, others)?;
            let one = |(partition, other): (&i32, Option<i64>)| {
                if i64::from(*partition) != i64::from(wanted) {
                    return Ok(other);
                }
                let (low, high) = marks(*partition)?;
                match i64::try_from(offset) {
                    Ok(offset) if (low..=high).contains(&offset) => Ok(Some(offset)),
                    _ => Err(nowhere(
                        member,
                        format!("partition {partition} keeps the offsets {low} to {high}, not {offset}"),
                    )),
                }
            };
            partitions.iter().zip(rest).map(one).collect()
        }
        Start::At(Position::Sequence(sequence)) => {
            Err(nowhere(member, format!("Kafka has partitions and offsets, no sequence {sequence}")))
        }
        other => Err(Error::unsupported("kafka", format!("beginning at {other:?}"))),
    }
}

/// Asks again while a partition gets a new leader, as one of a new topic does.
fn patiently<T>(ask: impl Fn() -> Result<T, KafkaError>) -> Result<T, KafkaError> {
    let until = Instant::now() + ASK;
    loop {
        match ask() {
            Err(error)
                if Instant::now() < until
                    && matches!(
                        error.rdkafka_error_code(),
                        Some(Code::NotLeaderForPartition | Code::LeaderNotAvailable | Code::UnknownTopicOrPartition)
                    ) =>
            {
                std::thread::sleep(Duration::from_millis(50));
            }
            outcome => return outcome,
        }
    }
}

fn nowhere(member: &Member, text: String) -> Error {
    Error::new(Kind::NotFound, text).with("topic", &member.topic)
}

/// Asks how many partitions a topic has; `None` if it is not there.
fn partitions(consumer: &Consumer, topic: &Topic) -> Result<Option<i32>> {
    let tried = "cannot ask the servers for the topic";
    let metadata = consumer.fetch_metadata(Some(topic.as_str()), ASK).map_err(|error| convert(tried, &error))?;
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic.as_str()) else { return Ok(None) };
    match found.error().map(Code::from) {
        None | Some(Code::NoError) => Ok(i32::try_from(found.partitions().len()).ok().filter(|count| *count > 0)),
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => Ok(None),
        Some(code) => Err(of_code(tried, code)),
    }
}

/// Asks what the members of the queue have of the topic.
pub(crate) fn shared_out(member: &Member, consumer: &Consumer, queue: &Queue) -> Result<Shared> {
    // A server that has not heard of the topic yet is the reason for all this.
    if partitions(consumer, &member.topic)?.is_none() {
        return Ok(Shared::Unknown);
    }
    doubt::ask(consumer, queue.as_str(), member.topic.as_str())
        .map_err(|error| convert("cannot ask the servers who has what", &error))
}

/// Tells whether the topic is there with all partitions that are held of it.
pub(crate) fn is_whole(member: &Member, consumer: &Consumer) -> Result<bool> {
    let count = partitions(consumer, &member.topic)?.unwrap_or(0);
    let state = member.lock();
    let mut held = state.shares.values().filter(|share| share.source == Source::Main);
    Ok(count > 0 && held.all(|share| share.partition < count))
}

/// Tells whether a topic is there; not knowing counts as no.
pub(crate) fn is_there(consumer: &Consumer, topic: &Topic) -> bool {
    matches!(partitions(consumer, topic), Ok(Some(_)))
}

/// Begins to give partitions away: nothing more is taken from them. What was lost is gone at once.
pub(crate) fn revoke(member: &Arc<Member>, consumer: &Arc<Consumer>, partitions: &[(String, i32)], lost: bool) {
    let mut gone = Vec::new();
    let held = member.hold();
    {
        let mut state = member.lock();
        let until = Instant::now() + member.lease;
        for (topic, partition) in partitions {
            let source = if topic == member.topic.as_str() { Source::Main } else { Source::Retry };
            let Some(number) = state.find(source, *partition) else { continue };
            if lost {
                gone.extend(member.drop_share(&mut state, number));
            } else if let Some(share) = state.shares.get_mut(&number) {
                share.draining.get_or_insert(until);
            }
        }
    }
    if lost {
        tracing::warn!(
            topic = %member.topic, queue = ?member.queue, partitions = partitions.len(),
            "the group and this member did not hear of each other within the lease: its partitions were given up, and what was in its hands comes again"
        );
    }
    drop(gone);
    if lost || !member.lock().is_draining() {
        // Nothing to wait for.
        unassign(consumer, partitions);
    }
    drop(held);
}

/// Gives away the partitions that drained, once all of a round are.
pub(crate) fn give_away(member: &Arc<Member>, consumer: &Arc<Consumer>) {
    let mut gone = Vec::new();
    if !member.lock().is_draining() {
        return;
    }
    let _held = member.hold();
    {
        let mut state = member.lock();
        let now = Instant::now();
        let draining: Vec<u64> =
            state.shares.iter().filter(|(_, share)| share.draining.is_some()).map(|(number, _)| *number).collect();
        let done = |number: &u64| {
            let share = &state.shares[number];
            let late = share.draining.is_some_and(|until| until <= now);
            let clean = share.window.out() == 0 && !share.dirty && !share.in_transaction && !state.commits.in_flight();
            late || clean
        };
        if draining.is_empty() || !draining.iter().all(done) {
            return;
        }
        for number in draining {
            gone.extend(member.drop_share(&mut state, number));
        }
    }
    let partitions: Vec<_> =
        gone.iter().map(|share| (member.topic_of(share.source).to_owned(), share.partition)).collect();
    // Their queues are gone before the partitions are.
    drop(gone);
    unassign(consumer, &partitions);
}

/// Answers what was heard and not acted upon; what comes from now on is granted at once.
pub(crate) fn grant_all(consumer: &Consumer) {
    let heard = {
        let mut heard = consumer.context().heard();
        heard.closing = true;
        std::mem::take(&mut heard.rebalances)
    };
    for rebalance in heard {
        match (rebalance, consumer.rebalance_protocol()) {
            (Rebalance::Assign(_), RebalanceProtocol::Cooperative) => {
                if let Err(error) = consumer.incremental_assign(&TopicPartitionList::new()) {
                    tracing::debug!(%error, "kafka: there was nothing to take over");
                }
            }
            (Rebalance::Assign(partitions) | Rebalance::Revoke { partitions, .. }, _) => {
                unassign(consumer, &partitions)
            }
        }
    }
}

fn unassign(consumer: &Consumer, partitions: &[(String, i32)]) {
    let given = match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => {
            let mut list = TopicPartitionList::new();
            for (topic, partition) in partitions {
                list.add_partition(topic, *partition);
            }
            consumer.incremental_unassign(&list)
        }
        _ => consumer.unassign(),
    };
    if let Err(error) = given {
        tracing::debug!(%error, "kafka: partitions were gone already");
    }
}

/// Reads on from the oldest that is kept, where what was to be read next is not kept any more; says what was lost.
pub(crate) fn mend(member: &Arc<Member>, consumer: &Arc<Consumer>) {
    let broken: Vec<(u64, Source, i32, Option<i64>)> = {
        let state = member.lock();
        let broken = state.shares.iter().filter(|(_, share)| share.out_of_range && share.draining.is_none());
        broken.map(|(number, share)| (*number, share.source, share.partition, share.window.next())).collect()
    };
    for (number, source, partition, wanted) in broken {
        let topic = member.topic_of(source);
        let marks = consumer.fetch_watermarks(topic, partition, ASK);
        let held = member.hold();
        let moved = marks.and_then(|(low, high)| {
            let next = wanted.filter(|wanted| (low..=high).contains(wanted)).unwrap_or(low);
            start_again(member, consumer, (source, partition), next).map(|()| next)
        });
        match moved {
            Ok(next) => read_on(member, number, wanted, next),
            Err(error) => {
                drop(held);
                tracing::warn!(topic, partition, %error, "kafka: cannot read on yet");
                // The next round tries again; it must not be a hot one.
                std::thread::sleep(AGAIN);
            }
        }
    }
}

fn read_on(member: &Arc<Member>, number: u64, wanted: Option<i64>, next: i64) {
    let mut state = member.lock();
    let Some(share) = state.shares.get_mut(&number) else { return };
    share.out_of_range = false;
    share.dirty |= member.queue.is_some();
    let (topic, partition) = (member.topic_of(share.source), share.partition);
    let lost = wanted.map_or(0, |wanted| next.saturating_sub(wanted));
    if lost > 0 {
        metrics::counter!("micro_kafka_lost_total", "topic" => topic.to_owned()).increment(lost.unsigned_abs());
        tracing::warn!(
            topic, partition, queue = ?member.queue, lost,
            "retention removed messages before they were read; reading on at {next}"
        );
        share.window.jump(next);
    } else if wanted != Some(next) {
        tracing::warn!(
            topic, partition, queue = ?member.queue, from = wanted,
            "the position is after the end: the topic was made anew; reading on at {next}"
        );
        // What is out is of the old topic: settling it has no effect.
        if let Some(mut share) = state.shares.remove(&number) {
            share.window = Window::new(Some(next), Checkpoint::default());
            member.detach(&mut state, number);
            member.add_share(&mut state, share);
        }
    }
    drop(state);
    member.arrived.notify_one();
}

/// Begins to fetch a partition at an offset: after an error the library has stopped, and a seek does not start it.
fn start_again(
    member: &Member,
    consumer: &Consumer,
    (source, partition): (Source, i32),
    offset: i64,
) -> Result<(), KafkaError> {
    let mut one = TopicPartitionList::new();
    one.add_partition_offset(member.topic_of(source), partition, Offset::Offset(offset))?;
    if member.queue.is_none() || matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative) {
        consumer.incremental_unassign(&one)?;
        return consumer.incremental_assign(&one);
    }
    // The other protocol knows only all at once; what comes twice by that is known by its offset.
    for share in member.lock().shares.values().filter(|share| (share.source, share.partition) != (source, partition)) {
        let next = share.window.next().map_or(Offset::Beginning, Offset::Offset);
        one.add_partition_offset(member.topic_of(share.source), share.partition, next)?;
    }
    consumer.assign(&one)
}

/// Reads a partition again from a message that came to the wrong queue.
pub(crate) fn misdirected(member: &Arc<Member>, consumer: &Arc<Consumer>, message: &BorrowedMessage<'_>) {
    tracing::error!(
        topic = message.topic(),
        partition = message.partition(),
        offset = message.offset(),
        "kafka: a message came outside its partition's queue; it is read again"
    );
    let again: Result<(), KafkaError> =
        consumer.seek(message.topic(), message.partition(), Offset::Offset(message.offset()), ASK);
    if let Err(error) = again {
        tracing::error!(topic = %member.topic, %error, "kafka: it cannot be read again now");
        let source = if message.topic() == member.topic.as_str() { Source::Main } else { Source::Retry };
        let mut state = member.lock();
        if let Some(number) = state.find(source, message.partition())
            && let Some(share) = state.shares.get_mut(&number)
        {
            share.out_of_range = true;
        }
    }
}
