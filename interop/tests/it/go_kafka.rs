//! The Go peer's Kafka commands.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde::Deserialize;
use tokio::task::JoinHandle;

use crate::peer::Peer;
use crate::wait::until;

/// A Go subscriber. Dropped, it is killed.
pub(crate) struct GoSubscriber {
    said: Arc<Mutex<Said>>,
    reading: JoinHandle<()>,
    pid: String,
}

#[derive(Default)]
struct Said {
    /// One for each topic.
    ready: BTreeMap<String, Ready>,
    messages: Vec<GoMessage>,
    events: Vec<GoEvent>,
    stopped: bool,
}

/// One line.
#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Line {
    Ready(Ready),
    Message(GoMessage),
    Event(GoEvent),
    Stopped,
}

/// What a Go subscriber reads, and how many share its queue.
#[derive(Debug, Clone, Deserialize)]
struct Ready {
    topic: String,
    members: usize,
    partitions: Vec<u32>,
}

/// A message as go-micro's broker gives it to its subscriber.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct GoMessage {
    /// `None` for Go's nil.
    pub(crate) header: Option<BTreeMap<String, String>>,
    /// In base64; `None` for Go's nil.
    pub(crate) body: Option<String>,
    #[serde(default)]
    pub(crate) text: String,
}

/// A typed event as a method or a func has it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct GoEvent {
    /// `struct` or `func`.
    pub(crate) by: String,
    pub(crate) name: String,
    pub(crate) sleep_millis: i64,
    pub(crate) metadata: Option<BTreeMap<String, String>>,
}

impl GoSubscriber {
    /// Starts one on a topic and waits until it reads every partition that is its own.
    pub(crate) async fn start(topic: &str, queue: Option<&str>) -> Self {
        let mut arguments = vec!["kafka-subscribe", "-topic", topic];
        arguments.extend(queue.into_iter().flat_map(|queue| ["-queue", queue]));
        Self::run(&arguments, &[topic]).await
    }

    /// Starts a service with subscribers of one or both kinds, `-struct` and `-func`, and waits until they read.
    pub(crate) async fn service(subscribers: &[(&str, &str)]) -> Self {
        let mut arguments = vec!["kafka-service"];
        arguments.extend(subscribers.iter().flat_map(|&(kind, topic)| [kind, topic]));
        let topics: Vec<_> = subscribers.iter().map(|&(_, topic)| topic).collect();
        Self::run(&arguments, &topics).await
    }

    async fn run(arguments: &[&str], topics: &[&str]) -> Self {
        let mut peer = Peer::start(arguments).await;
        let said = Arc::new(Mutex::new(Said::default()));
        let (pid, hears) = (peer.pid(), Arc::clone(&said));
        let reading = tokio::spawn(async move {
            while let Some(line) = peer.line_at_any_time().await {
                let mut said = hears.lock().unwrap();
                match serde_json::from_value(line).expect("a line of a Go subscriber") {
                    Line::Ready(ready) => drop(said.ready.insert(ready.topic.clone(), ready)),
                    Line::Message(message) => said.messages.push(message),
                    Line::Event(event) => said.events.push(event),
                    Line::Stopped => said.stopped = true,
                }
            }
        });
        let go = Self { said, reading, pid };
        until("the Go subscriber reads", async || topics.iter().all(|topic| go.ready(topic).is_some())).await;
        go
    }

    fn ready(&self, topic: &str) -> Option<Ready> {
        self.said.lock().unwrap().ready.get(topic).cloned()
    }

    /// Waits until the queue of a topic has as many members, this one included, and this one reads its share.
    pub(crate) async fn shares_with(&self, topic: &str, members: usize) {
        let shares = |ready: Ready| ready.members == members && !ready.partitions.is_empty();
        until("the queue is shared", async || self.ready(topic).is_some_and(shares)).await;
    }

    /// What has arrived so far.
    pub(crate) fn messages(&self) -> Vec<GoMessage> {
        self.said.lock().unwrap().messages.clone()
    }

    /// What has arrived so far, typed.
    pub(crate) fn events(&self) -> Vec<GoEvent> {
        self.said.lock().unwrap().events.clone()
    }

    /// Asks it to leave its queue, and waits until it has.
    pub(crate) async fn stop(self) {
        crate::peer::terminate(&self.pid).await;
        until("the Go subscriber stops", async || self.said.lock().unwrap().stopped).await;
    }
}

impl Drop for GoSubscriber {
    fn drop(&mut self) {
        // The task has the process, which is killed with it.
        self.reading.abort();
    }
}

/// Publishes by the Go peer; every argument but the command's name is the caller's.
pub(crate) async fn go_publishes(command: &str, arguments: &[&str]) {
    let mut peer = Peer::start(&[&[command], arguments].concat()).await;
    let line = peer.line().await.expect("the Go publisher says that it has published");
    assert_eq!(line["event"], "published");
    assert_eq!(peer.line().await, None);
}
