//! A Rust client and the go-micro server.

use std::time::{Duration, Instant};

use micro_core::Kind;
use micro_core::codec::Format;
use micro_interop::proto::{CountRequest, GreeterClient, Number, Request};
use micro_rpc::Client;

use crate::peer::GoServer;
use crate::wait::fresh;

struct Go {
    server: GoServer,
    name: String,
    greeter: GreeterClient,
}

async fn go() -> Go {
    let name = fresh("go.greeter");
    let server = GoServer::start(&name, "memory").await;
    let greeter = GreeterClient::new(name.as_str(), &Client::builder().name("rust.client").build());
    Go { server, name, greeter }
}

impl Go {
    fn address(&self) -> &str {
        &self.server.address
    }
}

fn named(name: &str) -> Request {
    Request { name: name.to_owned(), ..Request::default() }
}

// features: B1, B3, B7
#[tokio::test]
async fn a_unary_call_is_answered_and_carries_its_deadline() {
    let go = go().await;
    let response =
        go.greeter.greet(&named("John")).address(go.address()).timeout(Duration::from_secs(50)).await.unwrap();
    assert_eq!((response.msg.as_str(), response.big_number), ("Hello John", u64::MAX));
    assert!((1..=50_000).contains(&response.remaining_millis), "{}", response.remaining_millis);
}

// features: B7
#[tokio::test]
async fn metadata_arrives_under_the_names_go_handlers_look_up() {
    let go = go().await;
    let response = go.greeter.greet(&named("John")).address(go.address()).metadata("Tenant", "acme").await.unwrap();
    let seen = |name: &str| response.seen_metadata.get(name).map(String::as_str);
    assert_eq!(seen("Tenant"), Some("acme"), "{:?}", response.seen_metadata);
    assert_eq!(seen("Micro-From-Service"), Some("rust.client"), "{:?}", response.seen_metadata);
}

// features: B12
#[tokio::test]
async fn errors_of_go_handlers_arrive_with_id_code_and_detail() {
    let go = go().await;
    for (case, kind, code, detail) in [
        ("not-found", Kind::NotFound, 404, "no such é%"),
        ("conflict", Kind::Conflict, 409, "<exists> & stays"),
        ("too-many", Kind::ResourceExhausted, 429, "slow down"),
    ] {
        let error = go.greeter.greet(&named(case)).address(go.address()).await.unwrap_err();
        assert_eq!((error.kind(), error.code(), error.detail()), (kind, code, detail), "{case}: {error:?}");
        assert_eq!(error.get_id(), go.name, "{case}");
    }
}

#[tokio::test]
async fn a_plain_go_error_arrives_as_500_with_its_text() {
    let go = go().await;
    let error = go.greeter.greet(&named("plain")).address(go.address()).await.unwrap_err();
    assert_eq!(error.code(), 500, "{error:?}");
    assert!(error.to_string().contains("plain error"), "{error}");
}

#[tokio::test]
async fn a_go_panic_arrives_as_500_and_the_server_lives() {
    let go = go().await;
    let error = go.greeter.greet(&named("panic")).address(go.address()).await.unwrap_err();
    assert_eq!((error.code(), error.get_id(), error.detail()), (500, "go.micro.server", "panic recovered: boom"));
    assert_eq!(go.greeter.greet(&named("John")).address(go.address()).await.unwrap().msg, "Hello John");
}

// features: B8
#[tokio::test]
async fn a_deadline_ends_the_call_in_time() {
    let go = go().await;
    let begin = Instant::now();
    let request = Request { name: "sleep".to_owned(), sleep_millis: 40_000 };
    let error = go.greeter.greet(&request).address(go.address()).timeout(Duration::from_millis(300)).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Timeout, 408), "{error:?}");
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
}

// features: B5
#[tokio::test]
async fn json_is_spoken_and_64_bit_numbers_survive_it() {
    let go = go().await;
    let response = go.greeter.greet(&named("Jason")).address(go.address()).content_type(Format::Json).await.unwrap();
    assert_eq!((response.msg.as_str(), response.big_number), ("Hello Jason", u64::MAX));
    assert_eq!(response.seen_metadata.get("Content-Type").map(String::as_str), Some("application/grpc+json"));
}

#[tokio::test]
async fn a_method_that_go_does_not_have_is_said_to_be_unknown() {
    let go = go().await;
    let client = Client::builder().build();
    let error = client
        .call::<Request, Request>(&go.name, "Greeter.Nope", &named("John"))
        .address(go.address())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("Greeter.Nope"), "{error}");
}

// features: B2
#[tokio::test]
async fn a_server_stream_is_read_to_its_end() {
    let go = go().await;
    let request = CountRequest { count: 1000, ..CountRequest::default() };
    let mut responses = go.greeter.count(&request).address(go.address()).await.unwrap();
    let mut values = Vec::new();
    while let Some(response) = responses.recv().await.unwrap() {
        values.push(response.value);
    }
    assert_eq!(values, (1..=1000).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_error_at_the_end_of_a_server_stream_arrives_after_the_messages() {
    let go = go().await;
    let request = CountRequest { count: 2, error: "no more".to_owned() };
    let mut responses = go.greeter.count(&request).address(go.address()).await.unwrap();
    assert_eq!(responses.recv().await.unwrap().unwrap().value, 1);
    assert_eq!(responses.recv().await.unwrap().unwrap().value, 2);
    let error = responses.recv().await.unwrap_err();
    assert_eq!((error.code(), error.get_id(), error.detail()), (404, go.name.as_str(), "no more"));
}

// features: B2
#[tokio::test]
async fn a_client_stream_is_summed_when_it_ends() {
    let go = go().await;
    let numbers = go.greeter.sum().address(go.address()).await.unwrap();
    for value in 1..=100 {
        numbers.send(&Number { value }).await.unwrap();
    }
    let total = numbers.finish().await.unwrap();
    assert_eq!((total.sum, total.count), (5050, 100));
}

// features: B2
#[tokio::test]
async fn a_chat_is_answered_message_by_message() {
    let go = go().await;
    let mut chat = go.greeter.chat().address(go.address()).await.unwrap();
    for name in ["one", "two", "three"] {
        chat.send(&named(name)).await.unwrap();
        assert_eq!(chat.recv().await.unwrap().unwrap().msg, format!("Hello {name}"));
    }
    chat.close_send();
    assert!(chat.recv().await.unwrap().is_none());
}
