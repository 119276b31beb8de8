use std::sync::Arc;
use std::time::Duration;

use micro_core::broker::{Broker, Delivery, Queue, SubscribeOptions};

use crate::desk::{Desk, ack, bodies, connect, nothing, settle, sorted, take, texts, until};

// features: D4
#[tokio::test]
async fn members_of_a_queue_share_and_each_message_goes_to_one() {
    let desk = Desk::open().await;
    let (mut one, mut two) = (desk.queue("q").await, desk.queue("q").await);
    desk.publish(0..400).await;
    let mut got = Vec::new();
    let mut counts = [0, 0];
    while got.len() < 400 {
        let (who, next) = tokio::select! {
            next = one.next(50) => (0, next),
            next = two.next(50) => (1, next),
            () = tokio::time::sleep(crate::program::LIMIT) => panic!("{} came", got.len()),
        };
        let deliveries = next.unwrap().unwrap();
        counts[who] += deliveries.len();
        got.extend(bodies(&deliveries));
        ack(deliveries).await;
    }
    got.sort_by_key(|body| (body.len(), body.clone()));
    assert_eq!(got, texts(0..400));
    assert!(counts.iter().all(|count| *count >= 40), "{counts:?}");
}

// features: D3
#[tokio::test]
async fn without_a_queue_everyone_gets_everything_and_two_queues_do_too() {
    let desk = Desk::open().await;
    let (mut one, mut two) =
        (desk.subscribe(SubscribeOptions::new()).await, desk.subscribe(SubscribeOptions::new()).await);
    let (mut three, mut four) = (desk.queue("a").await, desk.queue("b").await);
    desk.publish(0..50).await;
    for subscription in [&mut one, &mut two, &mut three, &mut four] {
        assert_eq!(settle(subscription, 50).await, texts(0..50));
    }
}

// features: D7
#[tokio::test]
async fn a_queue_gets_what_was_published_while_it_was_away() {
    let desk = Desk::open().await;
    let mut first = desk.queue("q").await;
    desk.publish(0..3).await;
    ack(take(&mut first, 3).await).await;
    first.unsubscribe().await.unwrap();
    desk.publish(3..20).await;
    let mut second = desk.queue("q").await;
    assert_eq!(settle(&mut second, 17).await, texts(3..20));
    nothing(&mut second).await;
}

// features: D7, E6
#[tokio::test]
async fn everything_is_there_after_all_was_closed() {
    let desk = Desk::open().await;
    let mut queue = desk.queue("q").await;
    desk.publish(0..30).await;
    ack(take(&mut queue, 10).await).await;
    drop(queue);
    desk.broker.disconnect().await.unwrap();
    desk.broker.connect().await.unwrap();
    let mut again = desk.queue("q").await;
    let rest = take(&mut again, 20).await;
    nothing(&mut again).await;
    let mut everything = desk.subscribe(SubscribeOptions::new().start(micro_core::broker::Start::Earliest)).await;
    assert_eq!(settle(&mut everything, 30).await, texts(0..30));
    drop(rest);
}

// features: D5
#[tokio::test]
async fn what_a_member_gives_away_waits_until_it_has_settled_what_it_has() {
    let desk = Desk::open().await;
    let mut one = desk.queue("q").await;
    desk.publish(0..100).await;
    let held = take(&mut one, 100).await;
    let mut two = desk.queue("q").await;
    nothing(&mut two).await;
    ack(held).await;
    until("the second member gets some", async || {
        desk.publish(["more"]).await;
        tokio::time::timeout(Duration::from_millis(50), two.next(9)).await.is_ok()
    })
    .await;
}

// features: D5
#[tokio::test]
async fn what_was_out_when_a_member_left_may_be_settled_and_comes_to_no_one_else() {
    let desk = Desk::open().await;
    let mut one = desk.queue("q").await;
    desk.publish(0..20).await;
    let mut held = take(&mut one, 20).await;
    one.unsubscribe().await.unwrap();
    let mut two = desk.queue("q").await;
    let back = held.split_off(15);
    ack(held).await;
    let mut expected = sorted(&back);
    drop(back);
    let mut got = take(&mut two, 5).await;
    expected.sort();
    let mut bodies = bodies(&got);
    bodies.sort();
    assert_eq!(bodies, expected);
    assert!(got.iter().all(|delivery| delivery.attempts() == 0), "a release is no failure");
    ack(got.split_off(0)).await;
    nothing(&mut two).await;
}

#[tokio::test]
async fn a_retry_comes_again_after_its_pause_with_its_attempts_and_others_go_on() {
    let desk = Desk::open_with("?partitions=1").await;
    let mut queue = desk.queue("q").await;
    desk.publish(0..3).await;
    let mut first = take(&mut queue, 3).await.into_iter();
    let begun = std::time::Instant::now();
    first.next().unwrap().retry(Duration::from_millis(300)).await.unwrap();
    ack(first.collect()).await;
    let again = take(&mut queue, 1).await.remove(0);
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert_eq!((again.body(), again.attempts(), again.deliveries()), (&"0".into(), 1, Some(2)));
    again.retry(Duration::ZERO).await.unwrap();
    let again = take(&mut queue, 1).await.remove(0);
    assert_eq!((again.attempts(), again.deliveries()), (2, Some(3)));
    again.ack().await.unwrap();
    nothing(&mut queue).await;
}

// features: E4
#[tokio::test]
async fn a_retry_and_its_attempts_outlive_the_program() {
    let desk = Desk::open().await;
    let mut queue = desk.queue("q").await;
    desk.publish(["x"]).await;
    take(&mut queue, 1).await.remove(0).retry(Duration::from_millis(800)).await.unwrap();
    drop(queue);
    desk.broker.disconnect().await.unwrap();
    let broker = connect(desk.folder.path(), "").await;
    let options = SubscribeOptions::new().queue(Queue::new("q").unwrap());
    let mut queue = broker.subscribe(&desk.topic, options).await.unwrap();
    let again = take(&mut queue, 1).await.remove(0);
    assert_eq!((again.attempts(), again.deliveries()), (1, Some(2)));
}

#[tokio::test]
async fn a_rejected_message_never_comes_again() {
    let desk = Desk::open().await;
    let mut queue = desk.queue("q").await;
    desk.publish(["x"]).await;
    take(&mut queue, 1).await.remove(0).reject(micro_core::broker::Reason::Rejected).await.unwrap();
    nothing(&mut queue).await;
}

#[tokio::test]
async fn a_dropped_delivery_comes_again_and_is_no_failure() {
    for options in [SubscribeOptions::new(), SubscribeOptions::new().queue(Queue::new("q").unwrap())] {
        let desk = Desk::open().await;
        let mut subscription = desk.subscribe(options).await;
        desk.publish(["x"]).await;
        drop(take(&mut subscription, 1).await);
        let again = take(&mut subscription, 1).await.remove(0);
        assert_eq!((again.attempts(), again.deliveries()), (0, Some(1)));
        again.ack().await.unwrap();
        nothing(&mut subscription).await;
    }
}

#[tokio::test]
async fn an_answer_given_twice_is_a_conflict() {
    let desk = Desk::open().await;
    for mut subscription in [desk.queue("q").await, desk.subscribe(SubscribeOptions::new()).await] {
        desk.publish(["x"]).await;
        let parts = take(&mut subscription, 1).await.remove(0).into_parts();
        let answer = || micro_core::broker::Settlement::new(parts.token, micro_core::broker::Settle::Ack, 0);
        parts.origin.settler.settle(vec![answer()]).first().await.unwrap();
        let error = parts.origin.settler.settle(vec![answer()]).first().await.unwrap_err();
        assert_eq!(error.kind(), micro_core::Kind::Conflict);
        assert!(error.to_string().contains("settled already"), "{error}");
    }
}

#[tokio::test]
async fn a_member_that_is_silent_with_a_message_has_no_part_until_it_asks_for_something_again() {
    let desk = Desk::open_with("?partitions=4").await;
    let options = SubscribeOptions::new().queue(Queue::new("q").unwrap()).lease(Duration::from_millis(500));
    let mut silent = desk.subscribe(options.clone()).await;
    let mut other = desk.subscribe(options).await;
    for key in 0..20 {
        desk.publish_keyed(&format!("key-{key}"), 0..2).await;
    }
    let held = take(&mut silent, 1).await;
    // What was read ahead for it goes to the other too, and what was in its hands.
    let mut bodies = std::collections::BTreeSet::new();
    for _ in 0..40 {
        // One by one, each within its lease.
        bodies.extend(settle(&mut other, 1).await);
    }
    assert_eq!(bodies.len(), 40);
    for late in held {
        assert_eq!(late.ack().await.unwrap_err().kind(), micro_core::Kind::Conflict);
    }
    nothing(&mut other).await;
    let mut published = 0;
    let mut came = Vec::new();
    until("the silent one has its part again", async || {
        desk.publish_keyed(&format!("late-{published}"), 0..1).await;
        published += 1;
        if let Ok(next) = tokio::time::timeout(Duration::from_millis(20), silent.next(8)).await {
            came = next.unwrap().unwrap();
        }
        !came.is_empty()
    })
    .await;
    let count = came.len();
    ack(came).await;
    drop(silent);
    for _ in count..published {
        assert!(settle(&mut other, 1).await[0].starts_with("late-"));
    }
    nothing(&mut other).await;
}

#[tokio::test]
async fn a_message_that_nobody_answered_counts_as_handed_out_and_not_as_failed() {
    let desk = Desk::open().await;
    let options = SubscribeOptions::new().queue(Queue::new("q").unwrap()).lease(Duration::from_millis(300));
    let mut queue = desk.subscribe(options).await;
    desk.publish(["slow"]).await;
    let held = take(&mut queue, 1).await;
    let again = take(&mut queue, 1).await;
    assert_eq!((again[0].attempts(), again[0].deliveries()), (0, Some(2)));
    ack(again).await;
    drop(held);
    nothing(&mut queue).await;
}

/// The lock that writers take turns with stands for a disk, or a machine, that stood still.
#[tokio::test]
async fn a_member_that_stood_still_for_longer_than_its_lease_goes_on_where_nobody_took_over() {
    let desk = Desk::open_with("?partitions=1").await;
    let options = SubscribeOptions::new().queue(Queue::new("q").unwrap());
    let mut queue = desk.subscribe(options.in_flight(4).lease(Duration::from_millis(400))).await;
    desk.publish(0..12).await;
    let mut held = take(&mut queue, 4).await;
    // Its handlers are at work all the time.
    let (settler, tokens) = (Arc::clone(held[0].settler()), held.iter().map(Delivery::token).collect::<Vec<_>>());
    let at_work = tokio::spawn(async move {
        loop {
            settler.extend(&tokens);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    tokio::time::sleep(Duration::from_millis(300)).await; // as many again are read ahead
    let lock = std::fs::File::options().write(true).open(desk.folder.path().join("broker.lock")).unwrap();
    lock.lock().unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    let first = held.remove(0);
    let acknowledged = tokio::spawn(first.ack());
    // It begins to wait while the lease is over, and nobody asks again for it.
    let waiting = tokio::spawn(async move { (queue.next(4).await.unwrap().unwrap(), queue) });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!waiting.is_finished(), "the lease is over");
    lock.unlock().unwrap();
    acknowledged.await.unwrap().unwrap();
    at_work.abort();
    let (mut got, mut queue) = tokio::time::timeout(crate::program::LIMIT, waiting).await.expect("it goes on").unwrap();
    ack(held).await;
    got.extend(take(&mut queue, 4 - got.len()).await);
    assert_eq!(sorted(&got), texts(4..8));
    ack(got).await;
    assert_eq!(settle(&mut queue, 4).await, texts(8..12));
}

#[tokio::test]
async fn failures_counted_by_who_held_a_message_outlive_its_release() {
    let desk = Desk::open().await;
    let mut queue = desk.queue("q").await;
    desk.publish(["x"]).await;
    let parts = take(&mut queue, 1).await.remove(0).into_parts();
    let release = micro_core::broker::Settlement::new(parts.token, micro_core::broker::Settle::Release, 3);
    parts.origin.settler.settle(vec![release]).first().await.unwrap();
    let again = take(&mut queue, 1).await.remove(0);
    assert_eq!(again.attempts(), 3);
    again.ack().await.unwrap();
}
