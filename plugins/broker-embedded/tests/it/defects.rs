//! A defect of our own, a damaged row, a partition that another took over: only whom it concerns may notice.

use std::time::Duration;

use micro_broker_embedded::Embedded;
use micro_core::Kind;
use micro_core::broker::{Broker, Message, Queue, SubscribeOptions, Subscription, Topic};
use micro_engine::fail_point;
use tokio::time::timeout;

use crate::desk::{Desk, settle, take, texts, until};
use crate::program::LIMIT;

/// Ends the writer thread for good: the first panic is caught, the one on the way back is not.
const FATAL: &str = "engine.commit=panic:1; engine.roll_back=panic:1";

async fn publish(broker: &Embedded, topic: &Topic, body: &str) -> micro_core::Result<()> {
    timeout(LIMIT, broker.publish(topic, vec![Message::new(body.to_owned())]).first()).await.unwrap().map(drop)
}

fn tables(desk: &Desk) -> rusqlite::Connection {
    rusqlite::Connection::open(desk.folder.path().join("broker.db")).unwrap()
}

#[tokio::test]
async fn a_panic_in_the_writer_fails_its_batch_by_name_and_nothing_else() {
    let desk = Desk::open().await;
    let mut queue = desk.queue("q").await;
    desk.publish(0..5).await;
    let defect = fail_point::set(desk.folder.path(), "engine.commit=panic:1").unwrap();
    // A settlement or a heartbeat may be the one that meets it.
    let mut failed = Vec::new();
    while defect.failed() == 0 {
        failed.extend(publish(&desk.broker, &desk.topic, "lost").await.err());
    }
    for error in &failed {
        let text = error.to_string();
        assert!(error.kind() == Kind::Internal && text.contains("engine.commit"), "{text}");
    }
    desk.publish(5..10).await;
    let got = settle(&mut queue, 10 + usize::from(failed.is_empty())).await;
    assert!(texts(0..10).iter().all(|body| got.contains(body)), "{got:?}");
}

#[tokio::test]
async fn a_folder_whose_writer_is_gone_is_opened_anew_while_others_still_hold_the_old_one() {
    let desk = Desk::open().await;
    desk.publish(0..10).await;
    let mut queue = desk.subscribe(options("q")).await;
    let defect = fail_point::set(desk.folder.path(), FATAL).unwrap();
    until("whoever holds the old one hears why", async || {
        let error = publish(&desk.broker, &desk.topic, "lost").await.unwrap_err();
        // What was on its way when the thread ended knows less.
        error.kind() == Kind::Unavailable && error.to_string().contains("panicked")
    })
    .await;
    assert_eq!(defect.failed(), 2);
    let error = ended(&mut queue).await;
    let text = error.to_string();
    assert!(error.kind() == Kind::Unavailable && text.contains("panicked") && text.contains("connect again"), "{text}");

    let other = Embedded::at(desk.folder.path());
    other.connect().await.unwrap();
    publish(&other, &desk.topic, "10").await.unwrap();
    // The old one, still held, is mended by the next thing that may wait.
    desk.broker.ready().await.unwrap();
    publish(&desk.broker, &desk.topic, "11").await.unwrap();
    drop(queue);
    let mut again = desk.subscribe(options("q")).await;
    let got = settle(&mut again, 12).await;
    assert_eq!(got, texts(0..12), "what was acknowledged, and nothing that was not");
}

fn options(queue: &str) -> SubscribeOptions {
    SubscribeOptions::new().queue(Queue::new(queue).unwrap()).lease(Duration::from_secs(1))
}

async fn ended(subscription: &mut Box<dyn Subscription>) -> micro_core::Error {
    let pull = async {
        loop {
            match subscription.next(64).await {
                Ok(Some(deliveries)) => drop(deliveries),
                Ok(None) => panic!("it ended without a word"),
                Err(error) => return error,
            }
        }
    };
    timeout(LIMIT, pull).await.expect("it neither ends nor brings anything")
}

#[tokio::test]
async fn one_topic_too_many_and_a_damaged_queue_fail_alone_in_a_transaction_of_many() {
    let desk = Desk::open().await;
    desk.publish(["0"]).await;
    desk.queue("damaged").await.unsubscribe().await.unwrap();
    let tables = tables(&desk);
    tables.execute("UPDATE share SET state = x'ff'", []).unwrap();
    tables.execute("INSERT INTO topic (id, name, partitions) VALUES (65535, 'the.last', 1)", []).unwrap();
    let one_more = Topic::new("one.too.many").unwrap();

    let _together = fail_point::set(desk.folder.path(), "engine.begin=delay(500):1").unwrap();
    let commits = fail_point::set(desk.folder.path(), "engine.commit=delay(0)").unwrap();
    let damaged = SubscribeOptions::new().queue(Queue::new("damaged").unwrap());
    let (before, too_many, broken, after) = tokio::join!(
        publish(&desk.broker, &desk.topic, "1"),
        publish(&desk.broker, &one_more, "x"),
        desk.broker.subscribe(&desk.topic, damaged),
        publish(&desk.broker, &desk.topic, "2"),
    );
    assert_eq!(commits.failed(), 1, "they were in one transaction");
    before.unwrap();
    after.unwrap();
    let error = too_many.unwrap_err();
    assert!(error.kind() == Kind::ResourceExhausted && error.to_string().contains("one.too.many"), "{error}");
    let error = broken.unwrap_err();
    let text = error.to_string();
    assert!(error.kind() == Kind::Corrupt && text.contains("broker.db"), "{text}");
    assert!(text.contains(desk.topic.as_str()) && text.contains("another queue name"), "{text}");
    let members: u32 = tables.query_row("SELECT count(*) FROM member", [], |row| row.get(0)).unwrap();
    assert_eq!(members, 0, "of the subscription that failed nothing is left");
    let mut queue = desk.queue("whole").await;
    assert_eq!(settle(&mut queue, 3).await, texts(0..3));
}

#[tokio::test]
async fn a_member_whose_partitions_were_taken_over_hears_so_also_when_it_leaves_with_the_answer() {
    let desk = Desk::open_with("?partitions=1").await;
    let mut queue = desk.queue("q").await;
    desk.publish(["0"]).await;
    let held = take(&mut queue, 1).await.remove(0);
    // As another member does that took this one for dead.
    assert_eq!(tables(&desk).execute("UPDATE share SET owner = 0, epoch = epoch + 1", []).unwrap(), 1);
    let _together = fail_point::set(desk.folder.path(), "engine.begin=delay(300):1").unwrap();
    let (answered, left) = tokio::join!(held.ack(), queue.unsubscribe());
    left.unwrap();
    assert_eq!(answered.unwrap_err().kind(), Kind::Conflict, "it was not written: the message comes again");
    let mut next = desk.queue("q").await;
    assert_eq!(settle(&mut next, 1).await, ["0"]);
}

#[tokio::test]
async fn a_panic_in_the_reader_ends_subscriptions_by_name_and_new_ones_are_read_for() {
    let desk = Desk::open().await;
    let mut queue = desk.queue("q").await;
    let defect = fail_point::set(desk.folder.path(), "broker.read=panic:1").unwrap();
    let error = ended(&mut queue).await;
    let text = error.to_string();
    assert!(error.kind() == Kind::Internal && text.contains("reader") && text.contains("broker.read"), "{text}");
    assert_eq!(defect.failed(), 1);
    drop(queue);
    desk.publish(0..10).await;
    let mut again = desk.queue("q").await;
    assert_eq!(settle(&mut again, 10).await, texts(0..10));
}

#[tokio::test]
async fn a_read_that_fails_is_tried_again_and_ends_nothing() {
    let desk = Desk::open().await;
    let mut queue = desk.queue("q").await;
    let failing = fail_point::set(desk.folder.path(), "broker.read=error(EIO):3").unwrap();
    desk.publish(0..10).await;
    assert_eq!(settle(&mut queue, 10).await, texts(0..10));
    assert_eq!(failing.failed(), 3);
}
