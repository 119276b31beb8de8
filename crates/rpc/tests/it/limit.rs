//! What a server and a client refuse.

use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use micro_core::Kind;
use micro_rpc::{Client, Endpoint};
use tokio::sync::Barrier;

use crate::raw::{Raw, eventually, frame, frame_bytes};
use crate::world::{Text, greeter, options, start, text, world};

#[tokio::test]
async fn a_request_over_the_limit_is_not_sent() {
    let world = world().await;
    let body = Bytes::from(vec![0; (4 << 20) + 1]);
    let error =
        world.client.call::<_, Bytes>("greeter", "Greeter.Echo", &body).address(&*world.address).await.unwrap_err();
    assert_eq!(error.kind(), Kind::TooLarge);
    assert!(error.to_string().contains("4194305 bytes cannot be sent: the limit is 4194304 bytes"), "{error}");
    assert_eq!(world.running.stats().requests(), 0);
}

#[tokio::test]
async fn a_request_over_the_servers_limit_is_answered_by_8() {
    let world = start(options().max_message_size(100), greeter()).await;
    let mut raw = Raw::connect(&world.address).await;
    let answer = raw.call("/Greeter/Echo", &[("content-type", "application/grpc+bytes")], frame_bytes(&[0; 101])).await;
    assert_eq!(answer.status().0, "8");
    let error = world
        .client
        .call::<_, Bytes>("greeter", "Greeter.Echo", &Bytes::from_static(&[0; 101]))
        .address(&*world.address)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::TooLarge);
    assert!(error.to_string().contains("101 bytes cannot be received: the limit is 100"), "{error}");
}

#[tokio::test]
async fn an_answer_over_the_clients_limit_is_an_error() {
    let world = world().await;
    let client = Client::builder().max_message_size(8).build();
    let error =
        client.call::<Text, Text>("g", "Greeter.Greet", &text("John")).address(&*world.address).await.unwrap_err();
    assert_eq!(error.kind(), Kind::TooLarge, "{error}");
}

#[tokio::test]
async fn a_thousand_calls_run_at_once_on_one_connection() {
    let all = Arc::new(Barrier::new(1000));
    let meet = Endpoint::unary("Meet.All", move |_, request: Text| {
        let all = all.clone();
        async move {
            all.wait().await;
            Ok(request)
        }
    });
    let world = start(options(), vec![meet]).await;
    let client = Client::builder().pool(1).timeout(Duration::from_secs(60)).build();
    let request = text("x");
    let calls = (0..1000).map(|_| client.call::<Text, Text>("s", "Meet.All", &request).address(&*world.address));
    let answers = join_all(calls.map(IntoFuture::into_future)).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(world.running.stats().connections(), 1);
}

#[tokio::test]
async fn calls_over_the_servers_limit_are_told_to_come_later() {
    let world = start(options().max_in_flight(1), greeter()).await;
    let mut raw = Raw::connect(&world.address).await;
    let (_first, mut stream) = raw.open("/Greeter/Sleep", &[]).await;
    stream.send_data(frame(&text("60000")), false).unwrap();
    let stats = world.running.stats();
    eventually("the first runs", || stats.in_flight() == 1).await;
    let answer = raw.call("/Greeter/Greet", &[], frame(&text(""))).await;
    assert_eq!((answer.status().0, answer.get("micro-not-run")), ("8", "1"));
    assert!(answer.status().1.contains("\"code\":429"), "{:?}", answer.status());
}

#[tokio::test]
async fn an_endpoint_whose_name_has_not_two_parts_is_refused_at_start() {
    for name in ["Greet", "a.b.c", ".x", "x."] {
        let mut server = micro_rpc::Server::new(options());
        server.handle(Endpoint::unary(name, |_, request: Text| async move { Ok(request) }));
        let error = server.start().await.unwrap_err();
        assert!(error.kind() == Kind::Config && error.to_string().contains(&format!("{name:?}")), "{error}");
    }
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let world = world().await;
    let port = world.running.address().port().to_string();
    let error = micro_rpc::Server::new(options().address(&*world.address)).start().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.to_string().contains(&format!("port {port} is in use already")), "{error}");
}
