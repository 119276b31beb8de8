//! A message that kills every process that handles it, on the embedded broker.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use micro::broker::{Message, Topic};
use micro::dead_letter;
use micro::prelude::*;

use crate::support::{LIMIT, service, unique};

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
    let child = Command::new(std::env::current_exe().unwrap())
        .arg("crash::program")
        .env("MICRO_TEST_CRASH", topic)
        .env("MICRO_TEST_GOOD", good)
        .env("MICRO_HOME", home)
        .env("MICRO_BROKER", "embedded")
        .env("MICRO_REGISTRY", "memory")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Victim(child)
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
