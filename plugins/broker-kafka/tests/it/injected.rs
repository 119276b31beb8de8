//! Answers of servers that are rare in life: what passes is mended inside, and what does not is an error with a name.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use micro_broker_kafka::Kafka;
use micro_core::Kind;
use micro_core::broker::{Broker, Message, SubscribeOptions, Subscription, Topic};
use rdkafka::types::RDKafkaApiKey as Request;
use rdkafka::types::RDKafkaRespErr::{self as Answer, *};

use crate::mock::Mock;
use crate::world::{broker_at, member, nothing, queue, text, texts, topic, within};

/// As often an answer is repeated.
const TIMES: usize = 4;

async fn client(mock: &Mock) -> Kafka {
    broker_at(&mock.address("timeout_ms=20000")).await
}

/// Takes and acknowledges until so many different messages have come; none may come again whose answer was confirmed.
async fn settle(subscription: &mut dyn Subscription, settled: &mut BTreeSet<String>, count: usize) {
    while settled.len() < count {
        let more = within("deliveries", subscription.next(count)).await.unwrap();
        for delivery in more.expect("the subscription goes on") {
            let body = text(&delivery);
            assert!(!settled.contains(&body), "{body} was settled, and came again");
            if within("confirmation", delivery.ack()).await.is_ok() {
                settled.insert(body);
            }
        }
    }
}

async fn publish(broker: &Kafka, topic: &Topic, prefix: &str, count: usize) {
    within("receipts", broker.publish(topic, texts(prefix, count)).all()).await.unwrap();
}

/// Shows something for each of these, all at once: most of the time is waiting for groups.
async fn each<T>(all: impl IntoIterator<Item = T>, show: impl AsyncFn(T)) {
    join_all(all.into_iter().map(async |one| show(one).await)).await;
}

/// Nothing that was settled comes again to a new member of the same queue.
async fn nothing_comes_again(mock: &Mock, topic: &Topic, options: SubscribeOptions) {
    let broker = client(mock).await;
    let mut again = within("subscription", broker.subscribe(topic, options)).await.unwrap();
    nothing(&mut *again).await;
    broker.disconnect().await.unwrap();
}

#[tokio::test]
async fn an_answer_to_a_publish_that_passes_is_mended_inside() {
    let answers = [
        RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
        RD_KAFKA_RESP_ERR__TRANSPORT,
    ];
    each(answers, async |answer| {
        let mock = Mock::start();
        let (broker, topic) = (client(&mock).await, topic("produce"));
        publish(&broker, &topic, "before", 1).await;
        mock.fail(Request::Produce, answer, TIMES);
        let began = Instant::now();
        publish(&broker, &topic, "m", 20).await;
        assert!(began.elapsed() >= Duration::from_millis(100), "{answer:?}: tried again without a pause");
        let mut all =
            broker.subscribe(&topic, member(&queue("q")).start(micro_core::broker::Start::Earliest)).await.unwrap();
        let mut settled = BTreeSet::new();
        settle(&mut *all, &mut settled, 21).await;
        nothing(&mut *all).await;
        broker.disconnect().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_answer_to_a_publish_that_stays_is_an_error_by_its_name_and_the_next_goes_on() {
    let answers = [
        (RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, Kind::TooLarge),
        (RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, Kind::Forbidden),
        (RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, Kind::Unavailable),
        (RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, Kind::Unavailable),
    ];
    each(answers, async |(answer, kind)| {
        let mock = Mock::start();
        let (broker, topic) = (client(&mock).await, topic("final"));
        publish(&broker, &topic, "before", 1).await;
        mock.fail(Request::Produce, answer, 1);
        let began = Instant::now();
        let error = within("receipt", broker.publish(&topic, vec![Message::new("m")]).first()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{answer:?}: {error}");
        assert_eq!(error.context("topic"), Some(topic.as_str()), "{error}");
        assert!(began.elapsed() < Duration::from_secs(10), "{answer:?}: {:?}", began.elapsed());
        publish(&broker, &topic, "after", 5).await;
        broker.disconnect().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_answer_to_a_fetch_that_passes_costs_no_message_and_repeats_none() {
    let answers = [
        RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE,
        RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
        RD_KAFKA_RESP_ERR__TRANSPORT,
    ];
    each(answers, async |answer| {
        let mock = Mock::start();
        let (broker, topic) = (client(&mock).await, topic("fetch"));
        let options = member(&queue("q"));
        let mut subscription = within("subscription", broker.subscribe(&topic, options.clone())).await.unwrap();
        let mut settled = BTreeSet::new();
        publish(&broker, &topic, "before", 10).await;
        settle(&mut *subscription, &mut settled, 10).await;
        mock.fail(Request::Fetch, answer, TIMES);
        publish(&broker, &topic, "after", 10).await;
        settle(&mut *subscription, &mut settled, 20).await;
        nothing(&mut *subscription).await;
        broker.disconnect().await.unwrap();
        nothing_comes_again(&mock, &topic, options).await;
    })
    .await;
}

#[tokio::test]
async fn who_may_not_read_hears_it_as_forbidden() {
    let mock = Mock::start();
    let (broker, topic) = (client(&mock).await, topic("forbidden"));
    let mut subscription = within("subscription", broker.subscribe(&topic, member(&queue("q")))).await.unwrap();
    publish(&broker, &topic, "before", 1).await;
    settle(&mut *subscription, &mut BTreeSet::new(), 1).await;
    mock.fail(Request::Fetch, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, 1000);
    let error = within("end", subscription.next(1)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Forbidden, "{error}");
    assert_eq!(error.context("topic"), Some(topic.as_str()), "{error}");
    broker.disconnect().await.unwrap();
}

#[tokio::test]
async fn an_answer_to_a_commit_that_passes_is_mended_inside_and_settled_stays_settled() {
    let answers = [
        RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
        RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
        RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
        RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS,
        RD_KAFKA_RESP_ERR__TRANSPORT,
    ];
    each(answers, async |answer| {
        let mock = Mock::start();
        let (broker, topic) = (client(&mock).await, topic("commit"));
        let options = member(&queue("q"));
        let mut subscription = within("subscription", broker.subscribe(&topic, options.clone())).await.unwrap();
        publish(&broker, &topic, "m", 10).await;
        mock.fail(Request::OffsetCommit, answer, TIMES);
        let (mut settled, began) = (BTreeSet::new(), Instant::now());
        settle(&mut *subscription, &mut settled, 10).await;
        assert!(began.elapsed() >= Duration::from_millis(100), "{answer:?}: tried again without a pause");
        nothing(&mut *subscription).await;
        broker.disconnect().await.unwrap();
        nothing_comes_again(&mock, &topic, options).await;
    })
    .await;
}

#[tokio::test]
async fn a_group_that_is_not_ready_yet_is_joined_all_the_same() {
    let answers: [(Request, &[Answer]); 3] = [
        (
            Request::JoinGroup,
            &[
                RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
                RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
                RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
            ],
        ),
        (Request::SyncGroup, &[RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS]),
        (Request::FindCoordinator, &[RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE]),
    ];
    let answers = answers.iter().flat_map(|(request, all)| all.iter().map(|answer| (*request, *answer)));
    each(answers, async |(request, answer)| {
        let mock = Mock::start();
        let (broker, topic) = (client(&mock).await, topic("join"));
        mock.fail(request, answer, 2);
        let mut subscription = within("subscription", broker.subscribe(&topic, member(&queue("q")))).await.unwrap();
        publish(&broker, &topic, "m", 10).await;
        settle(&mut *subscription, &mut BTreeSet::new(), 10).await;
        broker.disconnect().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_member_that_its_group_forgot_joins_again_and_loses_nothing() {
    let answers = [
        RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
        RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION,
        RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS,
        RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
    ];
    each(answers, async |answer| {
        let mock = Mock::start();
        let (broker, topic) = (client(&mock).await, topic("heartbeat"));
        let options = member(&queue("q"));
        let mut subscription = within("subscription", broker.subscribe(&topic, options.clone())).await.unwrap();
        let mut settled = BTreeSet::new();
        publish(&broker, &topic, "before", 10).await;
        settle(&mut *subscription, &mut settled, 10).await;
        mock.fail(Request::Heartbeat, answer, 1);
        // A heartbeat a second: it is heard of while these are handled.
        for round in 0..8 {
            publish(&broker, &topic, &format!("after{round}-"), 5).await;
            let count = settled.len() + 5;
            settle(&mut *subscription, &mut settled, count).await;
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        broker.disconnect().await.unwrap();
        nothing_comes_again(&mock, &topic, options).await;
    })
    .await;
}

#[tokio::test]
async fn who_may_not_use_the_group_hears_it_as_forbidden() {
    let mock = Mock::start();
    let (broker, topic) = (client(&mock).await, topic("group"));
    mock.fail(Request::JoinGroup, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, 1000);
    let error = within("answer", broker.subscribe(&topic, member(&queue("q")))).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Forbidden, "{error}");
    broker.disconnect().await.unwrap();
}

#[tokio::test]
async fn a_topic_that_a_server_does_not_know_for_a_while_ends_no_subscription() {
    let mock = Mock::start();
    // Clients ask once a second, instead of every ten.
    let broker = broker_at(&mock.address("kafka.topic.metadata.refresh.interval.ms=1000")).await;
    let topic = topic("unknown");
    let mut queued = within("subscription", broker.subscribe(&topic, member(&queue("q")))).await.unwrap();
    let mut all = within("subscription", broker.subscribe(&topic, SubscribeOptions::new())).await.unwrap();
    publish(&broker, &topic, "before", 10).await;
    let (mut settled, mut seen) = (BTreeSet::new(), BTreeSet::new());
    settle(&mut *queued, &mut settled, 10).await;
    settle(&mut *all, &mut seen, 10).await;
    mock.say(&topic, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    tokio::time::sleep(Duration::from_secs(4)).await;
    mock.say(&topic, RD_KAFKA_RESP_ERR_NO_ERROR);
    let publisher = client(&mock).await;
    publish(&publisher, &topic, "after", 10).await;
    settle(&mut *queued, &mut settled, 20).await;
    settle(&mut *all, &mut seen, 20).await;
    publisher.disconnect().await.unwrap();
    broker.disconnect().await.unwrap();
}
