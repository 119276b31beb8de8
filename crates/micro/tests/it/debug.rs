use std::time::Duration;

use bytes::Bytes;
use micro::codec::Format;
use micro::prelude::*;
use serde_json::Value;

use crate::support::{LIMIT, service, unique, until};

async fn ask(client: &Client, service: &str, endpoint: &str, request: &str) -> Value {
    let request = Bytes::copy_from_slice(request.as_bytes());
    let answer = client.call::<Bytes, Bytes>(service, endpoint, &request).content_type(Format::Json).await.unwrap();
    serde_json::from_slice(&answer).unwrap()
}

async fn start(name: &str) -> (micro::Running, Client) {
    let mut service = service(name).build().unwrap();
    service.handle(Endpoint::unary("Echo.Say", |_: Context, body: Bytes| async move {
        if body.is_empty() { Err(micro::Error::bad_request("echo", "say something")) } else { Ok(body) }
    }));
    let client = service.client();
    (service.start().await.unwrap(), client)
}

// features: M2
#[tokio::test]
async fn every_service_answers_health_and_stats() {
    let name = unique("measured");
    let (running, client) = start(&name).await;
    assert_eq!(ask(&client, &name, "Debug.Health", "{}").await["status"], "ok");

    client.call::<Bytes, Bytes>(&name, "Echo.Say", &Bytes::from_static(b"x")).await.unwrap();
    client.call::<Bytes, Bytes>(&name, "Echo.Say", &Bytes::new()).await.unwrap_err();
    let stats = ask(&client, &name, "Debug.Stats", "{}").await;
    let number = |field: &str| stats[field].as_str().unwrap().parse::<u64>().unwrap();
    assert!(number("requests") >= 2, "{stats}");
    assert!(number("errors") >= 1, "{stats}");
    assert!(number("memory") > 1 << 20 && number("threads") >= 1, "{stats}");
    assert!(number("started") <= number("timestamp"), "{stats}");
    running.stop().await.unwrap();
}

// features: M1, M2
#[tokio::test]
async fn the_log_is_read_over_a_call_and_followed() {
    let name = unique("talkative");
    let (running, client) = start(&name).await;
    let request = Bytes::from_static(br#"{"count":1024,"stream":true}"#);
    let mut lines = client
        .server_stream::<Bytes, Bytes>(&name, "Debug.Log", &request)
        .content_type(Format::Json)
        .timeout(LIMIT)
        .await
        .unwrap();
    let word = unique("word");
    let mut find = async |what: &str| {
        loop {
            let line: Value = serde_json::from_slice(&lines.recv().await.unwrap().unwrap()).unwrap();
            if line["message"].as_str().unwrap().contains(what) {
                return line;
            }
        }
    };
    let line = find(&format!("Starting [service] {name}")).await;
    assert_eq!(line["metadata"]["level"], "info");
    assert!(line["metadata"]["file"].as_str().unwrap().starts_with("service/start.rs:"), "{line}");
    tracing::info!("now comes {word}");
    find(&word).await;
    drop(lines);
    running.stop().await.unwrap();
}

// features: M2
#[tokio::test]
async fn calls_leave_spans() {
    let name = unique("traced");
    let (running, client) = start(&name).await;
    client.call::<Bytes, Bytes>(&name, "Echo.Say", &Bytes::from_static(b"x")).await.unwrap();
    until("both sides of the call are there", async || {
        let answer = ask(&client, &name, "Debug.Trace", "{}").await;
        let spans = answer["spans"].as_array().unwrap().iter();
        let types: Vec<_> = spans
            .filter(|span| span["metadata"]["endpoint"] == "Echo.Say")
            .map(|span| span["type"].as_i64().unwrap())
            .collect();
        types.contains(&0) && types.contains(&1)
    })
    .await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn the_cache_names_the_services_that_were_looked_up() {
    let name = unique("known");
    let (running, client) = start(&name).await;
    let values = ask(&client, &name, "Debug.Cache", "{}").await["values"].clone();
    assert!(values[&name].as_str().unwrap().contains(&running.address().to_string()), "{values}");
    tokio::time::timeout(Duration::from_secs(20), running.stop()).await.unwrap().unwrap();
}
