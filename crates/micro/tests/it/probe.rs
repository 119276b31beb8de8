use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use micro::broker::Broker;
use micro::codec::Format;
use micro::prelude::*;

use crate::support::{LIMIT, http_get as get, service, unique, until};

// features: M3, M5
#[tokio::test]
async fn a_service_tells_over_http_that_it_lives_is_ready_and_what_it_counted() {
    let name = unique("probed");
    let mut service = service(&name).http_address("127.0.0.1:0").build().unwrap();
    service.handle(Endpoint::unary("Echo.Say", |_: Context, body: Bytes| async move { Ok(body) }));
    let client = service.client();
    let running = service.start().await.unwrap();
    client.call::<Bytes, Bytes>(&name, "Echo.Say", &Bytes::new()).await.unwrap();

    let address = running.http_address().unwrap();
    assert_eq!(get(address, "/live").await, (200, "live\n".into()));
    assert_eq!(get(address, "/ready").await, (200, "ready\n".into()));
    let (status, metrics) = get(address, "/metrics").await;
    assert_eq!(status, 200);
    assert!(
        metrics.lines().any(|l| l.starts_with("micro_rpc_server_requests_total") && l.contains("Echo.Say")),
        "{metrics}"
    );
    assert_eq!(get(address, "/").await.0, 404);
    running.stop().await.unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "the port closes with the service");
}

// features: M5
#[tokio::test]
async fn two_services_share_a_probe_port_and_are_ready_together() {
    let first = service(&unique("a")).http_address("127.0.0.1:0").build().unwrap().start().await.unwrap();
    let address = first.http_address().unwrap();
    let second = service(&unique("b")).http_address(address.to_string()).build().unwrap().start().await.unwrap();
    assert_eq!(second.http_address(), Some(address));
    first.stop().await.unwrap();
    assert_eq!(get(address, "/ready").await, (200, "ready\n".into()), "the other one is");
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_probe_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let error = service(&unique("late")).http_address(&address).build().unwrap().start().await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(&format!("cannot serve /metrics, /live and /ready at {address}; give another --http_address")),
        "{text}"
    );
}

// features: M5
#[tokio::test]
async fn a_service_whose_broker_does_not_answer_is_live_but_not_ready() {
    let broker: Arc<dyn Broker> = Arc::new(micro::broker::Memory::new());
    let name = unique("cut-off");
    let service = service(&name).broker(Arc::clone(&broker)).http_address("127.0.0.1:0").build().unwrap();
    let running = service.start().await.unwrap();
    let address = running.http_address().unwrap();
    assert_eq!(get(address, "/ready").await, (200, "ready\n".into()));
    broker.disconnect().await.unwrap();
    let (status, text) = get(address, "/ready").await;
    assert_eq!(status, 503, "{text}");
    assert!(text.starts_with(&format!("{name} has no broker that answers: ")) && text.contains("memory://"), "{text}");
    assert_eq!(get(address, "/live").await, (200, "live\n".into()));
    broker.connect().await.unwrap();
    assert_eq!(get(address, "/ready").await, (200, "ready\n".into()));
    running.stop().await.unwrap();
}

/// Asks for the health: 1 is serving, 2 is not.
async fn health(client: &micro::Client, address: &str) -> u8 {
    let request = Bytes::new();
    let call = client.call::<Bytes, Bytes>("", "/grpc.health.v1.Health/Check", &request).address(address);
    call.content_type(Format::Protobuf).await.unwrap()[1]
}

// features: A7, M5
#[tokio::test]
async fn a_service_that_leaves_says_so_at_once_and_answers_until_everybody_knows() {
    let name = unique("leaver");
    // Longer than the test: the stop is given up in the end.
    let builder = service(&name).http_address("127.0.0.1:0").drain(LIMIT * 4).drain_wait(LIMIT * 2);
    let mut service = builder.build().unwrap();
    service.handle(Endpoint::unary("Echo.Say", |_: Context, body: Bytes| async move { Ok(body) }));
    let (client, registry) = (service.client(), service.registry());
    let running = service.start().await.unwrap();
    let (address, probe) = (running.address().to_string(), running.http_address().unwrap());
    assert_eq!(health(&client, &address).await, 1);
    let stop = tokio::spawn(running.stop());
    until("it is not found", async || registry.get(&name).await.unwrap().is_empty()).await;
    assert_eq!(get(probe, "/ready").await, (503, format!("{name} is stopping\n")));
    assert_eq!(get(probe, "/live").await, (200, "live\n".into()));
    assert_eq!(health(&client, &address).await, 2);
    // Over the connection there is, and over a new one.
    for client in [client, micro::Client::default()] {
        let body = Bytes::from_static(b"x");
        let late = client.call::<Bytes, Bytes>(&name, "Echo.Say", &body).address(address.as_str()).retries(0);
        assert_eq!(late.await.unwrap(), "x");
    }
    assert!(!stop.is_finished());
    stop.abort();
}

// features: A7
#[tokio::test]
async fn the_wait_of_a_leaving_service_is_kept_and_is_part_of_its_drain() {
    let quick = Duration::from_millis(300);
    for (drain, wait) in [(LIMIT * 4, quick), (quick * 2, LIMIT * 4)] {
        let mut service = service(&unique("leaver")).drain(drain).drain_wait(wait).build().unwrap();
        service.handle(Endpoint::unary("Echo.Say", |_: Context, body: Bytes| async move { Ok(body) }));
        let running = service.start().await.unwrap();
        let address = running.address();
        let began = Instant::now();
        running.stop().await.unwrap();
        assert!((quick..LIMIT).contains(&began.elapsed()), "{:?} of {drain:?} and {wait:?}", began.elapsed());
        assert!(tokio::net::TcpStream::connect(address).await.is_err());
    }
}

#[cfg(feature = "registry-embedded")]
#[tokio::test]
async fn a_service_whose_callers_hear_of_it_late_waits_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let registry = format!("embedded://{}", folder.path().display());
    let mut service = service(&unique("leaver")).registry(registry).build().unwrap();
    service.handle(Endpoint::unary("Echo.Say", |_: Context, body: Bytes| async move { Ok(body) }));
    let running = service.start().await.unwrap();
    let began = Instant::now();
    running.stop().await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(500), "{:?}", began.elapsed());
}

// features: M3
#[tokio::test]
async fn a_flag_limits_the_calls_of_each_endpoint_and_what_was_refused_is_counted() {
    let name = unique("limited");
    let builder = service(&name).http_address("127.0.0.1:0").args(["--server_endpoint_max_in_flight", "1"]);
    let mut service = builder.build().unwrap();
    let (held, go) = (Arc::new(tokio::sync::Notify::new()), Arc::new(tokio::sync::Notify::new()));
    let (running_call, wait) = (Arc::clone(&held), Arc::clone(&go));
    service.handle(Endpoint::unary("Limited.Hold", move |_: Context, body: Bytes| {
        let (held, go) = (Arc::clone(&running_call), Arc::clone(&wait));
        async move {
            held.notify_one();
            go.notified().await;
            Ok(body)
        }
    }));
    let client = service.client();
    let running = service.start().await.unwrap();
    let call = async |client: micro::Client| client.call::<Bytes, Bytes>(&name, "Limited.Hold", &Bytes::new()).await;
    let (first, ()) = tokio::join!(call(client.clone()), async {
        held.notified().await;
        let error = call(client.clone()).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (micro::Kind::ResourceExhausted, 429), "{error}");
        go.notify_one();
    });
    first.unwrap();
    let (_, metrics) = get(running.http_address().unwrap(), "/metrics").await;
    let line = metrics.lines().find(|line| line.starts_with("micro_rpc_server_refused_total")).unwrap_or_default();
    assert!(line.contains(r#"endpoint="Limited.Hold""#) && line.contains(r#"reason="limit""#), "{metrics}");
    // It was tried twice, as a call that did not run may be.
    assert!(line.ends_with(" 2"), "{line}");
    running.stop().await.unwrap();
}
