//! What a receipt means, at every place where a process may die and a disk may refuse.

use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use micro_core::Kind;
use micro_core::broker::{Broker, Message, SubscribeOptions};
use micro_engine::fail_point;

use crate::desk::{Desk, connect, nothing, settle, sorted, take, texts};
use crate::program::Program;

/// Publishes with the process killed at a place of the second transaction; returns what another one finds then.
async fn killed_at(point: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(fail_point::VARIABLE, format!("{point}=kill@2"));
    let mut program = Program::start_with(folder.path(), command);
    assert_eq!(program.run("publish jobs.done - 0 10"), "done");
    program.tell("publish jobs.done - 10 20");
    program.wait();
    let receipts = program.said().iter().filter(|line| line.starts_with("done")).count();
    assert_eq!(receipts, 1, "no receipt was given for what died at {point}");

    let topic = micro_core::broker::Topic::new("jobs.done").unwrap();
    let desk = Desk { broker: connect(folder.path(), "").await, folder, topic };
    desk.publish(["last"]).await;
    let mut queue = desk.queue("q").await;
    let mut got = Vec::new();
    while got.last().is_none_or(|body| body != "last") {
        got.extend(settle(&mut queue, 1).await);
        got.sort_by_key(|body| (body.len(), body.clone()));
    }
    // The marker may come before others of other partitions.
    while let Ok(more) = tokio::time::timeout(Duration::from_millis(400), queue.next(64)).await {
        for delivery in more.unwrap().unwrap() {
            got.push(String::from_utf8_lossy(delivery.body()).into_owned());
            delivery.ack().await.unwrap();
        }
    }
    got.retain(|body| body != "last");
    got.sort_by_key(|body| (body.len(), body.clone()));
    got
}

#[tokio::test]
async fn who_dies_before_the_commit_gave_no_receipt_and_left_nothing_behind() {
    for point in ["engine.begin", "engine.commit"] {
        assert_eq!(killed_at(point).await, texts(0..10), "{point}");
    }
}

#[tokio::test]
async fn who_dies_between_commit_and_sync_gave_no_receipt_and_left_the_batch_whole() {
    for point in ["engine.sync", "engine.synced"] {
        assert_eq!(killed_at(point).await, texts(0..20), "{point}");
    }
}

#[tokio::test]
async fn a_receipt_waits_for_the_disk_and_a_subscriber_does_not() {
    let desk = Desk::open().await;
    let mut everyone = desk.subscribe(SubscribeOptions::new()).await;
    let slow = fail_point::set(desk.folder.path(), "engine.sync=delay(800):1").unwrap();
    let start = Instant::now();
    let mut receipts = desk.broker.publish(&desk.topic, vec![Message::new("0")]);
    assert_eq!(settle(&mut everyone, 1).await, ["0"]);
    assert!((&mut receipts).now_or_never().is_none(), "handled, and not yet on the disk");
    receipts.all().await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(800), "{:?}", start.elapsed());
    assert_eq!(slow.failed(), 1);
}

#[tokio::test]
async fn who_asks_for_no_sync_does_not_wait_for_the_disk() {
    let desk = Desk::open_with("?sync=never").await;
    let synced = fail_point::set(desk.folder.path(), "engine.sync=error(EIO)").unwrap();
    desk.publish(0..10).await;
    assert_eq!(synced.failed(), 0);
}

#[tokio::test]
async fn a_sync_that_fails_fails_its_receipts_and_the_next_publish_is_safe_again() {
    let desk = Desk::open().await;
    desk.publish(0..10).await;
    let failing = fail_point::set(desk.folder.path(), "engine.sync=error(EIO):1").unwrap();
    let messages = (10..20).map(|number| Message::new(number.to_string())).collect();
    for result in desk.broker.publish(&desk.topic, messages).await {
        let error = result.unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), Kind::Unavailable, "{text}");
        for word in [desk.folder.path().to_str().unwrap(), "sync", "kernel's log", "acknowledged before is safe"] {
            assert!(text.contains(word), "{word} is not in: {text}");
        }
    }
    desk.publish(20..30).await;
    assert_eq!(failing.failed(), 1);
    // By then the log was emptied into the file, because what follows a hole in it is not found after a power cut.
    assert_eq!(std::fs::metadata(desk.folder.path().join("broker.db-wal")).unwrap().len(), 0);
    let mut queue = desk.queue("q").await;
    assert_eq!(settle(&mut queue, 30).await, texts(0..30), "what failed was committed: it comes whole");
}

#[tokio::test]
async fn a_disk_that_is_full_fails_what_is_new_and_goes_on_once_there_is_room() {
    for (place, kept) in [("engine.commit", false), ("engine.sync", true)] {
        let desk = Desk::open().await;
        let mut queue = desk.queue("q").await;
        desk.publish(0..10).await;
        let full = fail_point::set(desk.folder.path(), &format!("{place}=error(ENOSPC)")).unwrap();
        let error = desk.broker.publish(&desk.topic, vec![Message::new("10")]).first().await.unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), Kind::DiskFull, "{text}");
        for word in [desk.folder.path().to_str().unwrap(), "make room", "goes on by itself"] {
            assert!(text.contains(word), "{word} is not in: {text}");
        }
        assert!(full.failed() > 0);
        drop(full);
        desk.publish(11..20).await;
        let wanted: Vec<String> = texts(0..20).into_iter().filter(|body| kept || body != "10").collect();
        assert_eq!(settle(&mut queue, wanted.len()).await, wanted, "{place}");
        nothing(&mut queue).await;
    }
}

#[tokio::test]
async fn an_answer_that_a_full_disk_refused_is_written_with_the_next_one() {
    let desk = Desk::open().await;
    let mut queue = desk.queue("q").await;
    desk.publish(0..2).await;
    let mut held = take(&mut queue, 2).await;
    let full = fail_point::set(desk.folder.path(), "engine.commit=error(ENOSPC)").unwrap();
    let error = held.remove(0).ack().await.unwrap_err();
    assert_eq!(error.kind(), Kind::DiskFull, "{error}");
    drop(full);
    held.remove(0).ack().await.unwrap();
    queue.unsubscribe().await.unwrap();
    let mut again = desk.queue("q").await;
    nothing(&mut again).await;
}

#[tokio::test]
async fn a_message_that_waits_for_its_mark_comes_though_the_disk_was_full_when_that_was_written() {
    let desk = Desk::open_with("?partitions=1").await;
    let mut queue = desk.queue("q").await;
    let mut publisher = Program::start(desk.folder.path());
    // For this process the disk is full, and not for the publisher: what fails is the mark, how far messages were handed
    // out.
    let full = fail_point::set(desk.folder.path(), "engine.commit=error(ENOSPC)").unwrap();
    assert_eq!(publisher.run(&format!("publish {} - 0 200", desk.topic)), "done");
    let mut held = take(&mut queue, 64).await;
    // So long that nothing else is about to be written for this subscriber.
    nothing(&mut queue).await;
    nothing(&mut queue).await;
    nothing(&mut queue).await;
    assert!(full.failed() > 0);
    drop(full);
    let room = Instant::now();
    held.extend(take(&mut queue, 136).await);
    assert!(
        room.elapsed() < Duration::from_secs(5),
        "only the heartbeat of the lease brought it: {:?}",
        room.elapsed()
    );
    assert_eq!(sorted(&held), texts(0..200));
}
