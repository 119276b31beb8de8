//! The go-micro client and a Rust server.

use std::time::Duration;

use micro_interop::RustGreeter;
use micro_interop::proto::GreeterServer;
use micro_rpc::{Running, Server, ServerOptions};

use crate::peer::{GoError, Outcome, go_client};
use crate::wait::{fresh, until};

struct Rust {
    server: Running,
    name: String,
    greeter: RustGreeter,
}

async fn rust() -> Rust {
    let name = fresh("rust.greeter");
    let greeter = RustGreeter::new(&name);
    let mut server = Server::new(ServerOptions::new(name.as_str()).address("127.0.0.1:0"));
    server.handle(GreeterServer::new(greeter.clone()));
    Rust { server: server.start().await.unwrap(), name, greeter }
}

impl Rust {
    async fn called(&self, case: &str) -> Outcome {
        let address = self.server.address().to_string();
        let arguments = ["-name", &self.name, "-registry", "memory", "-address", &address];
        let outcome = go_client(&arguments, &[case]).await.remove(0);
        assert_eq!(outcome.case, case);
        outcome
    }

    fn error(&self, code: i32, detail: &str, status: &str) -> GoError {
        GoError { id: self.name.clone(), code, detail: detail.to_owned(), status: status.to_owned() }
    }
}

// features: B1, B7
#[tokio::test]
async fn a_unary_call_is_answered_and_its_deadline_seen() {
    let rust = rust().await;
    let outcome = rust.called("unary").await;
    assert_eq!(outcome.error, None);
    assert_eq!(outcome.response["msg"], "Hello John");
    assert_eq!(outcome.response["big_number"], u64::MAX);
    let remaining = outcome.response["remaining_millis"].as_i64().unwrap();
    assert!((1..=5000).contains(&remaining), "{remaining}");
}

// features: B7
#[tokio::test]
async fn metadata_of_a_go_caller_is_seen_by_the_handler() {
    let rust = rust().await;
    let outcome = rust.called("metadata").await;
    let seen = |name: &str| {
        let seen = outcome.response["seen_metadata"].as_object().unwrap();
        seen.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).and_then(|(_, value)| value.as_str())
    };
    assert_eq!((seen("Tenant"), seen("Foo_bar")), (Some("acme"), Some("1")), "{outcome:?}");
    assert_eq!(seen("Micro-From-Service"), Some("go.peer.client"), "{outcome:?}");
    assert_eq!((seen("timeout"), seen("x-content-type")), (None, None), "{outcome:?}");
}

// features: B12
#[tokio::test]
async fn errors_of_rust_handlers_reach_a_go_caller_whole() {
    let rust = rust().await;
    for (case, code, detail, status) in [
        ("not-found", 404, "no such é%", "Not Found"),
        ("conflict", 409, "<exists> & stays", "Conflict"),
        ("too-many", 429, "slow down", "Too Many Requests"),
    ] {
        assert_eq!(rust.called(case).await.error, Some(rust.error(code, detail, status)), "{case}");
    }
}

#[tokio::test]
async fn an_error_without_a_code_is_500_with_its_text() {
    let rust = rust().await;
    let error = rust.called("plain").await.error.unwrap();
    assert_eq!((error.code, error.detail.as_str()), (500, "plain error"));
}

// features: B13
#[tokio::test]
async fn a_panic_of_a_handler_is_go_micros_500() {
    let rust = rust().await;
    let error = rust.called("panic").await.error.unwrap();
    let text = |text: &str| text.to_owned();
    let expected = GoError {
        id: text("go.micro.server"),
        code: 500,
        detail: text("panic recovered: boom"),
        status: text("Internal Server Error"),
    };
    assert_eq!(error, expected);
    assert_eq!(rust.called("unary").await.error, None);
}

#[tokio::test]
async fn a_go_callers_deadline_ends_the_handler_too() {
    let rust = rust().await;
    let outcome = rust.called("deadline").await;
    assert_eq!(outcome.error.unwrap().code, 408);
    assert!(outcome.millis < 20_000, "{}", outcome.millis);
    until("the handler of the call that timed out ends", async || rust.greeter.running() == 0).await;
}

// features: B5
#[tokio::test]
async fn json_of_a_go_caller_is_understood_and_answered() {
    let rust = rust().await;
    let outcome = rust.called("json").await;
    assert_eq!(outcome.error, None);
    assert_eq!(outcome.response["msg"], "Hello Jason");
    assert_eq!(outcome.response["big_number"], u64::MAX);
}

#[tokio::test]
async fn a_method_that_is_not_there_is_said_to_be_unknown() {
    let rust = rust().await;
    let outcome = rust.called("no-endpoint").await;
    assert!(outcome.text.contains("unknown service Greeter.Nope"), "{outcome:?}");
}

// features: B2
#[tokio::test]
async fn a_server_stream_needs_no_half_close() {
    let rust = rust().await;
    let outcome = rust.called("stream").await;
    assert_eq!((outcome.values, outcome.text.as_str()), (vec![1, 2, 3, 4, 5], ""));
}

#[tokio::test]
async fn an_error_ends_a_stream_as_go_micros_does() {
    let rust = rust().await;
    let outcome = rust.called("stream-error").await;
    assert_eq!(outcome.values, [1, 2]);
    let text = format!(
        r#"rpc error: code = NotFound desc = {{"id":"{}","code":404,"detail":"no more","status":"Not Found"}}"#,
        rust.name
    );
    assert_eq!(outcome.text, text);
}

#[tokio::test]
async fn a_go_caller_that_leaves_a_stream_ends_the_handler() {
    let rust = rust().await;
    let outcome = rust.called("stream-leave").await;
    assert_eq!((outcome.values, outcome.text.as_str()), (vec![1, 2, 3], ""));
    until("the handler of the stream that was left ends", async || rust.greeter.running() == 0).await;
}

// features: B2
#[tokio::test]
async fn a_chat_is_answered_message_by_message() {
    let rust = rust().await;
    let outcome = rust.called("chat").await;
    assert_eq!(outcome.messages, ["Hello one", "Hello two", "Hello three"]);
    assert_eq!(outcome.text, "");
    until("the handler of the chat ends", async || rust.greeter.running() == 0).await;
    rust.server.stop(Duration::from_secs(10)).await;
}
