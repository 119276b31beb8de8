//! What goes over the wire, as a program of go-micro would send and hear it.

use std::time::Duration;

use async_nats::{Client, Subscriber};
use futures_util::StreamExt as _;
use micro_conformance::registry::steps::*;
use micro_core::registry::{Change, Registry};
use micro_faults::Nats as Server;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::client::registry;

const QUERY: &str = "micro.registry.nats.query";
const WATCH: &str = "micro.registry.nats.watch";

/// A program of go-micro: what it answers it always answers.
struct Foreign {
    client: Client,
    told: Subscriber,
}

impl Foreign {
    async fn at(server: &Server) -> Self {
        let client = async_nats::connect(server.address()).await.unwrap();
        let told = client.subscribe(WATCH).await.unwrap();
        client.flush().await.unwrap();
        Self { client, told }
    }

    /// Answers every question for a service with these bytes.
    async fn answers(&self, service: &'static str, with: Vec<Vec<u8>>) {
        let mut asked = self.client.subscribe(QUERY).await.unwrap();
        let client = self.client.clone();
        client.flush().await.unwrap();
        tokio::spawn(async move {
            while let Some(question) = asked.next().await {
                let told: Value = serde_json::from_slice(&question.payload).unwrap();
                if told["Action"] == "get" && told["Service"]["name"] != service {
                    continue;
                }
                for answer in &with {
                    client.publish(question.reply.clone().unwrap(), answer.clone().into()).await.unwrap();
                }
            }
        });
    }

    async fn tells(&self, what: &Value) {
        self.client.publish(WATCH, what.to_string().into()).await.unwrap();
        self.client.flush().await.unwrap();
    }

    async fn asks(&self, question: &Value) -> Value {
        let answered = timeout(LIMIT, self.client.request(QUERY, question.to_string().into())).await.unwrap();
        serde_json::from_slice(&answered.unwrap().payload).unwrap()
    }

    async fn hears(&mut self) -> Value {
        let told = timeout(LIMIT, self.told.next()).await.unwrap().unwrap();
        serde_json::from_slice(&told.payload).unwrap()
    }
}

fn record(id: &str) -> Value {
    json!({"name": "greeter", "version": "1", "metadata": null, "endpoints": null, "nodes": [
        {"id": id, "address": "127.0.0.1:37903", "metadata": {"protocol": "grpc"}}
    ]})
}

#[tokio::test]
async fn a_node_is_told_and_answered_for_in_go_micros_words() {
    let server = Server::start().unwrap();
    let mut foreign = Foreign::at(&server).await;
    let registry = registry(&format!("nats://{}", server.address()));
    registry.register(&greeter("1", "a"), LONG).await.unwrap();
    let told = foreign.hears().await;
    assert_eq!((&told["Action"], &told["Service"]["name"]), (&json!("create"), &json!("greeter")));
    assert_eq!(told["Service"]["nodes"], record("a")["nodes"]);
    let asked = json!({"Action": "get", "Service": {"name": "greeter", "version": "", "metadata": null, "endpoints": null, "nodes": null}});
    for question in [asked, json!({"Action": "list", "Service": null})] {
        let answer = foreign.asks(&question).await;
        assert_eq!(
            (&answer["name"], &answer["version"], &answer["nodes"]),
            (&json!("greeter"), &json!("1"), &record("a")["nodes"])
        );
    }
    registry.deregister(&greeter("1", "a")).await.unwrap();
    assert_eq!(foreign.hears().await["Action"], "delete");
}

#[tokio::test]
async fn a_dropped_client_and_the_end_of_a_time_to_live_are_told() {
    let server = Server::start().unwrap();
    let mut foreign = Foreign::at(&server).await;
    let registry = registry(&format!("nats://{}", server.address()));
    registry.register(&greeter("1", "a"), Duration::from_millis(300)).await.unwrap();
    registry.register(&greeter("1", "b"), LONG).await.unwrap();
    for expected in ["create", "create", "delete"] {
        assert_eq!(foreign.hears().await["Action"], expected);
    }
    drop(registry);
    let told = foreign.hears().await;
    assert_eq!((&told["Action"], &told["Service"]["nodes"][0]["id"]), (&json!("delete"), &json!("b")));
}

#[tokio::test]
async fn what_go_micro_answers_is_read_and_what_is_no_record_is_left_out() {
    let server = Server::start().unwrap();
    let foreign = Foreign::at(&server).await;
    let bad = json!({"name": "greeter", "version": "1", "nodes": [{"id": "", "address": "h:1"}]});
    let answers = [&b"{"[..], bad.to_string().as_bytes(), record("a").to_string().as_bytes()].map(<[u8]>::to_vec);
    foreign.answers("greeter", answers.into()).await;
    let registry = registry(&format!("nats://{}", server.address()));
    assert_eq!(registry.get("greeter").await.unwrap(), [greeter("1", "a")]);
    assert_eq!(registry.list().await.unwrap(), ["greeter"]);
    assert_eq!(registry.get("other").await.unwrap(), []);
    let (mut hears, state) = watch(&registry, None).await;
    assert_eq!(state, [greeter("1", "a")]);
    // What is no message stops nobody.
    foreign.tells(&json!({"Action": "dance"})).await;
    foreign.tells(&json!({"Action": "create", "Service": record("b")})).await;
    assert_eq!(next(&mut hears).await, Change::Create(greeter("1", "b")));
}

#[tokio::test]
async fn what_go_micro_deregistered_is_gone_though_it_answers_for_it() {
    let server = Server::start().unwrap();
    let foreign = Foreign::at(&server).await;
    foreign.answers("greeter", vec![record("a").to_string().into_bytes()]).await;
    let registry = registry(&format!("nats://{}", server.address()));
    let (mut hears, state) = watch(&registry, Some("greeter")).await;
    assert_eq!(state, [greeter("1", "a")]);
    foreign.tells(&json!({"Action": "delete", "Service": record("a")})).await;
    assert_eq!(next(&mut hears).await, Change::Delete(greeter("1", "a")));
    assert_eq!(registry.get("greeter").await.unwrap(), []);
    assert_eq!(watch(&registry, Some("greeter")).await.1, []);
    // Until it registers anew.
    foreign.tells(&json!({"Action": "create", "Service": record("a")})).await;
    assert_eq!(next(&mut hears).await, Change::Create(greeter("1", "a")));
    assert_eq!(registry.get("greeter").await.unwrap(), [greeter("1", "a")]);
}

#[tokio::test]
async fn a_process_that_falls_silent_is_gone_for_watchers_and_one_that_answers_stays() {
    let server = Server::start().unwrap();
    let (silent, foreign) = (Foreign::at(&server).await, Foreign::at(&server).await);
    foreign.answers("greeter", vec![record("b").to_string().into_bytes()]).await;
    let registry = registry(&format!("nats://{}", server.address()));
    let (mut hears, _) = watch(&registry, Some("greeter")).await;
    silent.tells(&json!({"Action": "create", "Service": record("a")})).await;
    assert_eq!(next(&mut hears).await, Change::Create(greeter("1", "a")));
    let gone = timeout(Duration::from_secs(40), hears.next()).await.expect("it is gone in time").unwrap();
    assert_eq!(gone, Change::Delete(greeter("1", "a")));
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        assert_eq!(registry.get("greeter").await.unwrap(), [greeter("1", "b")]);
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn newer_go_micros_have_other_subjects() {
    let server = Server::start().unwrap();
    let foreign = async_nats::connect(server.address()).await.unwrap();
    let mut told = foreign.subscribe("micro.nats.watch").await.unwrap();
    foreign.flush().await.unwrap();
    let registry = registry(&format!("nats://{}?subject=micro.nats", server.address()));
    registry.register(&greeter("1", "a"), LONG).await.unwrap();
    let told = timeout(LIMIT, told.next()).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&told.payload).contains(r#""Action":"create""#));
}
