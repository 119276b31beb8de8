//! A disk that gives back something else than was written, met while programs run.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use micro_core::Kind;
use micro_core::broker::{Broker, Message, Start, SubscribeOptions};
use tokio::time::timeout;

use crate::desk::{Desk, take};
use crate::program::{LIMIT, Program};

const PAGE: u64 = 4096;

/// Overwrites every page but the first one, of a file into which everything was copied.
fn damage(desk: &Desk) {
    let path = desk.folder.path().join("broker.db");
    let other = rusqlite::Connection::open(&path).unwrap();
    // Another writer: whoever kept pages in memory has to read them again.
    other.execute("INSERT INTO topic (name, partitions) VALUES ('another.topic', 1)", []).unwrap();
    let busy: bool = other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).unwrap();
    assert!(!busy);
    let file = File::options().write(true).open(&path).unwrap();
    let garbage = vec![0x5a; PAGE as usize];
    for page in 1..file.metadata().unwrap().len() / PAGE {
        file.write_all_at(&garbage, page * PAGE).unwrap();
    }
}

#[tokio::test]
async fn damage_that_is_met_while_programs_run_is_named_and_nobody_hangs() {
    let desk = Desk::open().await;
    let messages = (0..200).map(|number| Message::new(format!("{number:>2000}"))).collect();
    desk.broker.publish(&desk.topic, messages).all().await.unwrap();
    let earliest = SubscribeOptions::new().start(Start::Earliest).in_flight(8);
    let mut reading = desk.subscribe(earliest).await;
    let held = take(&mut reading, 8).await;
    damage(&desk);

    let named = |error: micro_core::Error, who: &str| {
        let text = error.to_string();
        assert_eq!(error.kind(), Kind::Corrupt, "{who}: {text}");
        for word in [desk.folder.path().to_str().unwrap(), "damaged", "mv '", ".recover"] {
            assert!(text.contains(word), "{word} is not in: {text}");
        }
    };
    drop(held);
    let read = async {
        loop {
            match reading.next(64).await {
                Ok(Some(deliveries)) => {
                    for delivery in deliveries {
                        delivery.ack().await.unwrap();
                    }
                }
                Ok(None) => panic!("it ended without a word"),
                Err(error) => return error,
            }
        }
    };
    named(timeout(LIMIT, read).await.expect("the reader hangs"), "the reader");
    let receipt = desk.broker.publish(&desk.topic, vec![Message::new("x")]).first();
    named(timeout(LIMIT, receipt).await.expect("the publisher hangs").unwrap_err(), "the publisher");
    let joining = desk.broker.subscribe(&desk.topic, SubscribeOptions::new().queue("q".parse().unwrap()));
    named(timeout(LIMIT, joining).await.expect("the subscriber hangs").unwrap_err(), "the subscriber");
    timeout(LIMIT, desk.broker.disconnect()).await.expect("the disconnect hangs").ok();
}

#[tokio::test]
async fn another_process_that_meets_damage_says_so_too() {
    let desk = Desk::open().await;
    let mut program = Program::start(desk.folder.path());
    assert_eq!(program.run(&format!("publish {} - 0 50 2000", desk.topic)), "done");
    damage(&desk);
    let answer = program.run(&format!("publish {} - 50 60 2000", desk.topic));
    assert!(answer.starts_with("done Corrupt") || answer.starts_with("Corrupt"), "{answer}");
    assert!(answer.contains("damaged"), "{answer}");
}
