use std::collections::HashMap;
use std::time::Duration;

use micro_core::broker::{Queue, SubscribeOptions};

use crate::desk::{Desk, ack, bodies, nothing, take};
use crate::program::Program;

fn ordered() -> SubscribeOptions {
    SubscribeOptions::new().queue(Queue::new("q").unwrap()).ordered()
}

// features: E5
#[tokio::test]
async fn in_strict_order_later_messages_of_a_key_wait_for_the_one_that_failed() {
    let desk = Desk::open_with("?partitions=1").await;
    let mut queue = desk.subscribe(ordered()).await;
    desk.publish_keyed("a", 0..3).await;
    let mut first = take(&mut queue, 3).await.into_iter();
    // A consumer in strict order gives back what stands behind the failed one.
    first.next().unwrap().retry(Duration::from_millis(300)).await.unwrap();
    drop(first);
    desk.publish_keyed("a", 3..4).await;
    desk.publish_keyed("b", 0..1).await;
    let other = take(&mut queue, 1).await;
    assert_eq!(bodies(&other), ["b-0"], "another key goes on");
    let again = take(&mut queue, 1).await;
    assert_eq!((bodies(&again), again[0].attempts()), (vec!["a-0".to_owned()], 1));
    nothing(&mut queue).await;
    ack(again).await;
    for expected in ["a-1", "a-2", "a-3"] {
        let next = take(&mut queue, 1).await;
        assert_eq!(bodies(&next), [expected]);
        ack(next).await;
    }
}

// features: E5
#[tokio::test]
async fn in_strict_order_what_waits_behind_a_failed_one_does_not_take_the_room_that_it_needs() {
    let desk = Desk::open_with("?partitions=1").await;
    let mut queue = desk.subscribe(ordered().in_flight(4)).await;
    desk.publish_keyed("a", 0..50).await;
    let first = take(&mut queue, 1).await.remove(0);
    first.retry(Duration::from_millis(50)).await.unwrap();
    for number in 0..50 {
        let next = take(&mut queue, 1).await;
        assert_eq!(bodies(&next), [format!("a-{number}")]);
        ack(next).await;
    }
}

// features: E5
#[tokio::test]
async fn in_loose_order_later_messages_of_a_key_do_not_wait() {
    let desk = Desk::open_with("?partitions=1").await;
    let mut queue = desk.queue("q").await;
    desk.publish_keyed("a", 0..1).await;
    take(&mut queue, 1).await.remove(0).retry(Duration::from_secs(600)).await.unwrap();
    desk.publish_keyed("a", 1..2).await;
    assert_eq!(bodies(&take(&mut queue, 1).await), ["a-1"]);
}

// features: E5, D5
#[test]
fn the_order_within_a_key_holds_across_members_that_join_and_are_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut publisher = Program::start(folder.path());
    let mut first = Program::start(folder.path());
    first.run("subscribe flights q slow");
    publisher.run("publish flights %13 0 1000");
    let mut second = Program::start(folder.path());
    second.run("subscribe flights q slow");
    second.wait_for_got(20);
    first.wait_for_got(100);
    first.kill();
    let got_first = first.got();
    publisher.run("publish flights %13 1000 1500");
    let mut third = Program::start(folder.path());
    third.run("subscribe flights q slow");
    let end = std::time::Instant::now() + crate::program::LIMIT;
    loop {
        let mut all: Vec<u64> =
            [got_first.clone(), second.got(), third.got()].concat().iter().map(|b| b.parse().unwrap()).collect();
        all.sort_unstable();
        all.dedup();
        if all.len() == 1500 {
            break;
        }
        assert!(std::time::Instant::now() < end, "{} of 1500 came", all.len());
        std::thread::sleep(Duration::from_millis(20));
    }
    // Within each process a key never goes back by more than what was repeated, and new ones come in order.
    for got in [got_first, second.got(), third.got()] {
        let mut last: HashMap<u64, u64> = HashMap::new();
        for body in got {
            let number: u64 = body.parse().unwrap();
            let before = last.insert(number % 13, number);
            assert!(before.is_none_or(|before| before < number), "{number} came after {before:?}");
        }
    }
}
