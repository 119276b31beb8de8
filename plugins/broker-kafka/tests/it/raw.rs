//! The bare client: what other programs do to a topic.

use std::time::Duration;

use micro_core::broker::Topic;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use rdkafka::topic_partition_list::TopicPartitionList;

pub(crate) fn config() -> ClientConfig {
    let mut config = ClientConfig::new();
    let shared = micro_faults::kafka::shared().unwrap_or_else(|error| panic!("{error}"));
    config.set("bootstrap.servers", shared.bootstrap());
    config
}

pub(crate) fn admin() -> AdminClient<DefaultClientContext> {
    config().create().unwrap()
}

pub(crate) async fn add_partitions(topic: &Topic, count: usize) {
    let options = AdminOptions::new().request_timeout(Some(Duration::from_secs(20)));
    let answers = admin().create_partitions(&[NewPartitions::new(topic.as_str(), count)], &options).await.unwrap();
    answers.into_iter().for_each(|answer| _ = answer.unwrap());
}

/// Publishes one record as a foreign program does.
pub(crate) fn publish(topic: &Topic, headers: &[(&str, Option<&[u8]>)], key: Option<&[u8]>, body: Option<&[u8]>) {
    let producer: ThreadedProducer<rdkafka::producer::DefaultProducerContext> = config().create().unwrap();
    let mut record = BaseRecord::<[u8], [u8]>::to(topic.as_str());
    record.key = key;
    record.payload = body;
    if !headers.is_empty() {
        let owned =
            headers.iter().fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: *value }));
        record.headers = Some(owned);
    }
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(Duration::from_secs(20)).unwrap();
}

/// The committed offset of a queue in a partition, and the text beside it.
pub(crate) fn committed(topic: &Topic, queue: &str, partition: i32) -> (Option<i64>, String) {
    let consumer: BaseConsumer = config().set("group.id", queue).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition(topic.as_str(), partition);
    let list = consumer.committed_offsets(list, Duration::from_secs(20)).unwrap();
    let element = list.find_partition(topic.as_str(), partition).unwrap();
    (element.offset().to_raw().filter(|offset| *offset >= 0), element.metadata().to_owned())
}

/// Removes the records of partition 0 before an offset, as retention does.
pub(crate) async fn delete_before(topic: &Topic, offset: i64) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic.as_str(), 0, rdkafka::Offset::Offset(offset)).unwrap();
    let options = AdminOptions::new().request_timeout(Some(Duration::from_secs(20)));
    let done = admin().delete_records(&list, &options).await.unwrap();
    done.elements().iter().for_each(|element| element.error().unwrap());
}

pub(crate) async fn delete(topic: &Topic) {
    let options = AdminOptions::new().request_timeout(Some(Duration::from_secs(20)));
    for answer in admin().delete_topics(&[topic.as_str()], &options).await.unwrap() {
        answer.unwrap();
    }
}

/// Commits an offset of partition 0 with a text, as another client does.
pub(crate) fn commit(topic: &Topic, queue: &str, offset: i64, text: &str) {
    let consumer: BaseConsumer = config().set("group.id", queue).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic.as_str(), 0, rdkafka::Offset::Offset(offset)).unwrap();
    list.find_partition(topic.as_str(), 0).unwrap().set_metadata(text);
    consumer.commit(&list, rdkafka::consumer::CommitMode::Sync).unwrap();
}
