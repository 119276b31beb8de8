//! Processes that die at the wrong moment, on the embedded broker: over a message that kills every one that handles it, and
//! between a dead letter and the settling of its message.

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use micro::broker::{Broker, Message, Start, SubscribeOptions, Topic};
use micro::dead_letter;
use micro::event::reject;
use micro::prelude::*;

use crate::support::{LIMIT, service, unique, until};

/// The program that the test below runs: this test binary, with this one test chosen. The poison ends it as a fault in C
/// code would, without a word to the broker.
#[test]
fn program() {
    let Ok(topic) = std::env::var("MICRO_TEST_CRASH") else { return };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut service = Service::builder("crash").args(false).address("127.0.0.1:0").build().unwrap();
        let good = std::env::var("MICRO_TEST_GOOD").unwrap();
        let handler = move |_: Context, message: Message| {
            let good = good.clone();
            async move {
                if &message.body[..] == b"poison" {
                    std::process::abort();
                }
                std::fs::write(good, &message.body).unwrap();
                Ok(())
            }
        };
        service.subscribe(raw_subscriber(&topic, handler).queue("crash").max_crashes(3));
        service.run().await.unwrap();
    });
}

/// Ended with the test, however that ends.
struct Victim(Child);

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(topic: &str, home: &Path, good: &Path) -> Victim {
    Victim(command("crash::program", home).env("MICRO_TEST_CRASH", topic).env("MICRO_TEST_GOOD", good).spawn().unwrap())
}

/// This test binary with one test chosen, on the embedded broker of a folder.
fn command(test: &str, home: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", test])
        .env("MICRO_HOME", home)
        .env("MICRO_BROKER", "embedded")
        .env("MICRO_REGISTRY", "memory")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

// features: D10
#[tokio::test]
async fn a_message_that_kills_its_process_goes_to_the_dead_letters_and_the_others_are_handled() {
    let folder = tempfile::tempdir().unwrap();
    let (home, good) = (folder.path().join("home"), folder.path().join("good"));
    let topic = Topic::new(unique("crash")).unwrap();
    let asking = service("asking").home(&home).broker("embedded").build().unwrap();
    asking.connect().await.unwrap();
    let broker = asking.broker();
    for body in ["poison", "good"] {
        broker.publish(&topic, vec![Message::new(body).key("same")]).first().await.unwrap();
    }

    let began = std::time::Instant::now();
    let mut deaths = 0;
    let mut child = start(topic.as_str(), &home, &good);
    let mut letters = Vec::new();
    let letters = loop {
        let handled = good.exists();
        assert!(began.elapsed() < LIMIT, "{deaths} deaths, good handled: {handled}, letters: {letters:?}");
        if child.0.try_wait().unwrap().is_some() {
            deaths += 1;
            child = start(topic.as_str(), &home, &good);
        }
        letters = dead_letter::list(&broker, topic.as_str()).await.unwrap();
        if !letters.is_empty() && handled {
            break letters;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    drop(child);

    assert_eq!(deaths, 3, "it is given up after as many deaths as it may cause");
    assert_eq!(letters.len(), 1);
    let letter = &letters[0];
    assert_eq!((letter.reason.as_str(), letter.queue.as_str()), ("crash", "crash"));
    assert_eq!(&letter.message.body[..], b"poison");
    assert!(letter.error.contains("kill the process"), "{}", letter.error);
}

/// The program of the test below: its handler notes each call in a file, and rejects as long as another file is there.
#[test]
fn rejecting_program() {
    let Ok(topic) = std::env::var("MICRO_TEST_REJECT") else { return };
    let folder = std::path::PathBuf::from(std::env::var("MICRO_TEST_FOLDER").unwrap());
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut service = Service::builder("reject").args(false).address("127.0.0.1:0").build().unwrap();
        let handler = move |_: Context, _: Message| {
            let folder = folder.clone();
            async move {
                let rejects = folder.join("rejects").exists();
                let calls = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("calls"));
                calls.unwrap().write_all(if rejects { b"r" } else { b"h" }).unwrap();
                if rejects { Err(reject(Error::bad_request("test", "not wanted"))) } else { Ok(()) }
            }
        };
        service.subscribe(raw_subscriber(&topic, handler).queue("reject"));
        service.run().await.unwrap();
    });
}

/// Reads all letters there are, those of one message apart.
async fn letters_written(broker: &std::sync::Arc<dyn Broker>, topic: &Topic, count: usize) -> bool {
    let options = SubscribeOptions::new().start(Start::Earliest);
    let mut all = broker.subscribe(&topic.dead(), options).await.unwrap();
    let mut found = 0;
    while let Ok(Ok(Some(more))) = tokio::time::timeout(std::time::Duration::from_millis(300), all.next(16)).await {
        found += more.len();
        // What is not acknowledged would come again.
        for delivery in more {
            delivery.ack().await.unwrap();
        }
    }
    all.unsubscribe().await.unwrap();
    assert!(found <= count, "{found} letters of one message and {count} rejections");
    found == count
}

// features: D10
#[tokio::test]
async fn a_death_between_the_dead_letter_and_the_settling_costs_nothing_but_a_second_letter() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let topic = Topic::new(unique("letter")).unwrap();
    let asking = service("asking").home(&home).broker("embedded").build().unwrap();
    asking.connect().await.unwrap();
    let broker = asking.broker();
    let rejects = folder.path().join("rejects");
    std::fs::write(&rejects, "").unwrap();
    let calls = || std::fs::read_to_string(folder.path().join("calls")).unwrap_or_default();
    broker.publish(&topic, vec![Message::new("one")]).first().await.unwrap();
    let start = |points: &str| {
        let mut program = command("crash::rejecting_program", &home);
        program.env("MICRO_TEST_REJECT", topic.as_str()).env("MICRO_TEST_FOLDER", folder.path());
        Victim(program.env(micro_engine::fail_point::VARIABLE, points).spawn().unwrap())
    };

    // It dies as it is about to settle the message that it gave up: the letter is there before.
    let mut child = start("broker.settle=kill");
    let mut status = None;
    until("the process is dead", async || {
        status = child.0.try_wait().unwrap();
        status.is_some()
    })
    .await;
    assert_eq!(status.unwrap().signal(), Some(9), "{status:?}");
    assert_eq!(calls(), "r");
    assert!(letters_written(&broker, &topic, 1).await, "the message is settled before its letter is kept");

    // The next one gets the message again, and writes a second letter of it.
    let child = start("");
    until("a second letter", async || letters_written(&broker, &topic, 2).await).await;
    assert_eq!(calls(), "rr");
    let letters = dead_letter::list(&broker, topic.as_str()).await.unwrap();
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!((letters[0].reason.as_str(), &letters[0].message.body[..]), ("rejected", &b"one"[..]));

    // Given back, it comes once.
    std::fs::remove_file(&rejects).unwrap();
    assert_eq!(dead_letter::requeue(&broker, topic.as_str(), |_| true).await.unwrap(), 1);
    until("the message is handled", async || calls().ends_with('h')).await;
    assert_eq!(dead_letter::list(&broker, topic.as_str()).await.unwrap().len(), 0, "which takes a second of silence");
    assert_eq!(calls(), "rrh");
    drop(child);
}
