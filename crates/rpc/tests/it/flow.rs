//! Flow control, and the traps of streams.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use micro_rpc::{Endpoint, Sender};

use crate::raw::{Raw, frame};
use crate::world::{Text, options, start, text, world};

// features: B2, B15
#[tokio::test]
async fn a_stream_starts_at_its_first_message_though_the_request_never_ends() {
    // go-micro's client opens every stream as if both sides talked, and never ends its own.
    let world = world().await;
    let mut raw = Raw::connect(&world.address).await;
    for path in ["/Greeter/Count", "/Greeter/Greet"] {
        let (answer, mut stream) = raw.open(path, &[]).await;
        stream.send_data(frame(&text("3")), false).unwrap();
        let answer = tokio::time::timeout(Duration::from_secs(10), answer).await.unwrap().unwrap();
        assert_eq!(answer.status().0, "0", "{path}");
    }
}

#[tokio::test]
async fn the_head_of_a_stream_comes_before_its_first_message() {
    let wait = Endpoint::server_stream("Wait.Long", |_, _: Text, _: Sender<Text>| async {
        std::future::pending::<micro_core::Result<()>>().await
    });
    let world = start(options(), vec![wait]).await;
    let stream = tokio::net::TcpStream::connect(&world.address).await.unwrap();
    let (mut send, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::post(format!("http://{}/Wait/Long", world.address))
        .header("content-type", "application/grpc")
        .body(())
        .unwrap();
    let (response, mut body) = send.send_request(request, false).unwrap();
    body.send_data(frame(&text("")), false).unwrap();
    let head = tokio::time::timeout(Duration::from_secs(10), response).await.unwrap().unwrap();
    assert_eq!(head.status(), 200);
}

#[tokio::test]
async fn a_slow_reader_holds_back_the_sender_not_the_memory() {
    let sent = Arc::new(AtomicU64::new(0));
    let count = sent.clone();
    let pour = Endpoint::server_stream("Pour.All", move |_, _: Text, out: Sender<Bytes>| {
        let count = count.clone();
        async move {
            let part = Bytes::from(vec![7; 1 << 14]);
            for _ in 0..4096 {
                out.send(part.clone()).await?;
                count.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        }
    });
    let world = start(options(), vec![pour]).await;
    let request = text("");
    let call = world.client.server_stream::<Text, Bytes>("s", "Pour.All", &request);
    let mut parts = call.content_type(micro_core::codec::Format::Protobuf).address(&*world.address).await.unwrap();
    // Nobody reads: the sender comes to rest far before its 64 MiB.
    let mut before = u64::MAX;
    let end = Instant::now() + Duration::from_secs(20);
    while before != sent.load(Ordering::SeqCst) || before == 0 {
        before = sent.load(Ordering::SeqCst);
        assert!(Instant::now() < end);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let held = before * (1 << 14);
    assert!(held <= 4 << 20, "{held} bytes are on the way to a reader that does not read");
    let mut received = 0;
    while parts.recv().await.unwrap().is_some() {
        received += 1;
    }
    assert_eq!(received, 4096);
}

#[tokio::test]
async fn a_flood_of_small_messages_does_not_close_the_connection() {
    let flood = Endpoint::server_stream("Flood.Gates", |_, request: Text, out: Sender<Text>| async move {
        let end = Instant::now() + Duration::from_millis(request.text.parse().unwrap());
        while Instant::now() < end {
            out.send(text("x")).await?;
            // As one that is fed by others: each message may go out by itself.
            tokio::task::yield_now().await;
        }
        Ok(())
    });
    let world = start(options(), vec![flood]).await;
    let request = text("2000");
    let call = world.client.server_stream::<Text, Text>("s", "Flood.Gates", &request).address(&*world.address);
    let mut messages = call.await.unwrap();
    let mut count = 0_u64;
    while let Some(_message) = messages.recv().await.unwrap() {
        count += 1;
        // A reader that stumbles lets unread frames pile up.
        if count.is_multiple_of(10_000) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    assert!(count > 1_000, "{count}");
}

#[tokio::test]
async fn messages_that_are_ready_together_leave_as_few_frames() {
    let world = world().await;
    let stream = tokio::net::TcpStream::connect(&world.address).await.unwrap();
    let (mut send, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::post(format!("http://{}/Greeter/Count", world.address))
        .header("content-type", "application/grpc")
        .body(())
        .unwrap();
    let (response, mut body) = send.send_request(request, false).unwrap();
    body.send_data(frame(&text("1000")), true).unwrap();
    let mut body = response.await.unwrap().into_body();
    let mut frames = 0;
    while let Some(data) = body.data().await {
        body.flow_control().release_capacity(data.unwrap().len()).unwrap();
        frames += 1;
    }
    assert!(frames <= 20, "1000 messages came in {frames} frames");
}

#[tokio::test]
async fn a_message_larger_than_the_window_arrives_whole() {
    let world = world().await;
    let body = Bytes::from((0..3 << 20).map(|i| i as u8).collect::<Vec<_>>());
    let answer: Bytes = world.client.call("greeter", "Greeter.Echo", &body).address(&*world.address).await.unwrap();
    assert_eq!(answer, body);
}

#[tokio::test]
async fn a_message_cut_into_bytes_is_put_together() {
    let world = world().await;
    let mut raw = Raw::connect(&world.address).await;
    let (answer, mut stream) = raw.open("/Greeter/Greet", &[]).await;
    for byte in frame(&text("John")) {
        stream.send_data(Bytes::copy_from_slice(&[byte]), false).unwrap();
        tokio::task::yield_now().await;
    }
    stream.send_data(Bytes::new(), true).unwrap();
    assert_eq!(answer.await.unwrap().body, frame(&text("Hello John")));
}
