use std::process::Command;

use micro_broker_embedded::Embedded;
use micro_core::Kind;
use micro_core::broker::{Broker, SubscribeOptions};

use crate::desk::{Desk, sorted, take, texts};
use crate::program::Program;

async fn refused(folder: &std::path::Path) -> micro_core::Error {
    Embedded::at(folder).connect().await.unwrap_err()
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_named_with_what_to_do() {
    // Not even root makes a folder there.
    let error = refused(std::path::Path::new("/sys/micro-home")).await;
    assert_eq!(error.kind(), Kind::ReadOnly, "{error}");
    let text = error.to_string();
    assert!(text.contains("/sys/micro-home") && text.contains("MICRO_HOME"), "{text}");
}

#[tokio::test]
async fn a_damaged_file_is_named_and_not_touched() {
    let desk = Desk::open().await;
    desk.publish(0..10).await;
    desk.broker.disconnect().await.unwrap();
    let Desk { folder, broker, .. } = desk;
    drop(broker);
    let file = folder.path().join("broker.db");
    let damaged = vec![0x5a; 8192];
    crate::desk::until("the writer is done", async || !folder.path().join("broker.db-wal").exists()).await;
    std::fs::write(&file, &damaged).unwrap();
    let error = refused(folder.path()).await;
    assert_eq!(error.kind(), Kind::Corrupt, "{error}");
    let text = error.to_string();
    for word in [&file.display().to_string(), "damaged", "mv '", ".recover"] {
        assert!(text.contains(word), "{word} is not in: {text}");
    }
    assert_eq!(std::fs::read(&file).unwrap(), damaged);
}

#[tokio::test]
async fn a_file_of_a_newer_program_is_named_with_both_versions() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("broker.db");
    rusqlite::Connection::open(&file).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = refused(folder.path()).await;
    assert_eq!(error.kind(), Kind::NewerVersion, "{error}");
    let text = error.to_string();
    for word in [&file.display().to_string(), "version 99", "up to 1", "Update this program"] {
        assert!(text.contains(word), "{word} is not in: {text}");
    }
}

/// A limit on the size of files is a disk that is full at a place of our choice.
#[tokio::test]
async fn a_full_disk_fails_the_batch_and_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let limit = 1200; // KiB
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("trap '' XFSZ; ulimit -f $(({limit} * 2)); exec \"$@\""), "sh"]);
    shell.arg(std::env::current_exe().unwrap());
    let mut publisher = Program::start_with(folder.path(), shell);
    let mut acknowledged = 0;
    let answer = loop {
        let answer = publisher.run(&format!("publish big.topic * {acknowledged} {} 2000", acknowledged + 50));
        if answer != "done" {
            break answer;
        }
        acknowledged += 50;
        assert!(acknowledged < 20_000, "the limit is not felt");
    };
    for word in ["DiskFull", "broker.db", "ulimit -f", "what was acknowledged is safe"] {
        assert!(answer.to_lowercase().contains(&word.to_lowercase()), "{word} is not in: {answer}");
    }
    publisher.kill();

    let mut publisher = Program::start(folder.path());
    publisher.run(&format!("publish big.topic * {acknowledged} {} 2000", acknowledged + 50));
    let broker = crate::desk::connect(folder.path(), "").await;
    let topic = micro_core::broker::Topic::new("big.topic").unwrap();
    let options = SubscribeOptions::new().queue(micro_core::broker::Queue::new("q").unwrap()).in_flight(50_000);
    let mut queue = broker.subscribe(&topic, options).await.unwrap();
    let got = take(&mut queue, acknowledged + 50).await;
    let all: Vec<String> = sorted(&got).iter().map(|body| body.trim().to_owned()).collect();
    let mut all: Vec<u32> = all.iter().map(|body| body.parse().unwrap()).collect();
    all.sort_unstable();
    assert_eq!(all.iter().map(u32::to_string).collect::<Vec<_>>(), texts(0..acknowledged as u32 + 50));
}

#[tokio::test]
async fn once_there_is_room_again_the_same_program_goes_on_and_lacks_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut shell = Command::new("sh");
    // The soft limit only: the test lifts it.
    shell.args(["-c", "trap '' XFSZ; ulimit -S -f 2400; exec \"$@\"", "sh"]);
    shell.arg(std::env::current_exe().unwrap());
    let mut program = Program::start_with(folder.path(), shell);
    program.run("subscribe big.topic q ack");
    let mut sent: u32 = 0;
    while program.run(&format!("publish big.topic * {sent} {} 2000", sent + 50)) == "done" {
        sent += 50;
        assert!(sent < 20_000, "the limit is not felt");
    }
    let lifted = Command::new("prlimit").args(["--fsize=unlimited", "--pid", &program.id().to_string()]).status();
    assert!(lifted.expect("prlimit is part of util-linux").success());
    crate::desk::until("it publishes again", async || {
        program.run(&format!("publish big.topic * {sent} {} 2000", sent + 50)) == "done"
    })
    .await;
    // A batch that failed may be there all the same: it is refused whole, or comes whole.
    crate::desk::until("every acknowledged message is handled", async || {
        let got: std::collections::BTreeSet<String> = program.got().into_iter().collect();
        texts(0..sent + 50).iter().all(|body| got.contains(body))
    })
    .await;
}

#[tokio::test]
async fn a_folder_that_is_gone_is_an_illness_by_name_and_one_that_is_back_is_not() {
    let desk = Desk::open().await;
    desk.broker.health().await.unwrap();
    let (here, away) = (desk.folder.path().join("broker.db"), desk.folder.path().join("away.db"));
    std::fs::rename(&here, &away).unwrap();
    let error = desk.broker.health().await.unwrap_err();
    assert!(error.to_string().contains(desk.folder.path().to_str().unwrap()), "{error}");
    std::fs::rename(&away, &here).unwrap();
    desk.broker.health().await.unwrap();
    desk.broker.disconnect().await.unwrap();
    assert_eq!(desk.broker.health().await.unwrap_err().kind(), Kind::Closed);
}
