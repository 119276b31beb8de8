use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use micro::broker::Broker;
use micro::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{service, unique};

async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

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
