//! A whole Rust service, as the facade makes it, in a go-micro fleet.

use micro::Service;
use micro_interop::RustGreeter;
use micro_interop::proto::{GreeterClient, GreeterServer, Request};

use crate::peer::{GoServer, go_client};
use crate::wait::fresh;

fn service(name: &str) -> Service {
    Service::builder(name)
        .address("127.0.0.1:0")
        .registry("mdns")
        .broker("memory")
        .args(false)
        .build()
        .expect("these settings are right")
}

// features: A1, C1
#[tokio::test]
async fn a_rust_service_joins_a_go_fleet_unchanged() {
    let name = fresh("rust.service");
    let mut rust = service(&name);
    rust.handle(GreeterServer::new(RustGreeter::new(&name)));
    let running = rust.start().await.unwrap();
    let outcomes = go_client(&["-name", &name, "-registry", "mdns"], &["unary", "stream", "not-found"]).await;
    assert_eq!(outcomes[0].response["msg"], "Hello John", "{outcomes:?}");
    assert_eq!(outcomes[1].values, [1, 2, 3, 4, 5], "{outcomes:?}");
    assert_eq!(outcomes[2].error.as_ref().map(|error| (error.code, error.id.as_str())), Some((404, name.as_str())));
    running.stop().await.unwrap();
    let outcome = go_client(&["-name", &name, "-registry", "mdns"], &["unary"]).await.remove(0);
    assert_eq!(outcome.error.unwrap().detail, format!("service {name}: not found"));
}

// features: M2
#[tokio::test]
async fn go_micros_debug_client_reads_health_stats_and_log_of_a_rust_service() {
    let name = fresh("rust.debug");
    let mut rust = service(&name);
    rust.handle(GreeterServer::new(RustGreeter::new(&name)));
    let running = rust.start().await.unwrap();
    let outcome = go_client(&["-name", &name, "-registry", "mdns"], &["unary", "debug"]).await.remove(1);
    assert_eq!(outcome.text, "", "{outcome:?}");
    let [timestamp, started, memory, threads, requests] = outcome.values[..] else { panic!("{outcome:?}") };
    assert!(started > 1_600_000_000 && timestamp >= started, "{outcome:?}");
    assert!(memory > 0 && threads > 0 && requests > 0, "{outcome:?}");
    assert_eq!(outcome.messages[0], "ok");
    let log = &outcome.messages[1..];
    assert!(log.iter().any(|line| line.contains("Registering node")), "{log:?}");
    running.stop().await.unwrap();
}

// features: C1
#[tokio::test]
async fn a_rust_service_calls_a_go_service_by_its_name() {
    let name = fresh("go.service");
    let _go = GoServer::start(&name, "mdns").await;
    let client = service("rust.caller").client();
    let request = Request { name: "John".to_owned(), ..Request::default() };
    let response = GreeterClient::new(name.as_str(), &client).greet(&request).await.unwrap();
    assert_eq!(response.msg, "Hello John");
    assert_eq!(response.seen_metadata.get("Micro-From-Service").map(String::as_str), Some("rust.caller"));
}
