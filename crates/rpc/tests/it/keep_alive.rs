//! Peers that are gone without a word.

use std::future::IntoFuture;
use std::time::Duration;

use micro_core::Kind;
use micro_rpc::Client;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::raw::{self, eventually, frame};
use crate::world::{Text, greeter, options, start, text};

// features: B10
#[tokio::test]
async fn a_call_after_one_that_timed_out_does_not_wait_on_the_same_dead_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        // The first connection is never read; those after it are served.
        let (_dead, _) = listener.accept().await.unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((_, respond))) = connection.accept().await {
                    raw::respond(respond, Some(frame(&text("alive"))), &[("grpc-status", "0")]);
                }
            });
        }
    });
    let client = Client::builder().keep_alive(Duration::from_secs(20), Duration::from_secs(5)).build();
    let request = text("");
    let call = || client.call::<Text, Text>("s", "A.B", &request).address(&*address);
    assert_eq!(call().timeout(Duration::from_millis(100)).await.unwrap_err().kind(), Kind::Timeout);
    assert_eq!(call().timeout(Duration::from_secs(30)).await.unwrap().text, "alive");
}

#[tokio::test]
async fn a_call_on_a_dead_connection_ends_before_its_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let client = Client::builder()
        .keep_alive(Duration::from_millis(50), Duration::from_millis(100))
        .retries(0)
        .timeout(Duration::from_secs(60))
        .build();
    let request = text("");
    let call = client.call::<Text, Text>("s", "A.B", &request).address(&*address);
    let (error, _dead) = tokio::join!(call.into_future(), listener.accept());
    let error = error.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
}

// features: B10
#[tokio::test]
async fn a_server_lets_go_of_a_client_that_does_not_answer() {
    let options = options().keep_alive(Duration::from_millis(50), Duration::from_millis(100));
    let world = start(options, greeter()).await;
    let mut stream = TcpStream::connect(&world.address).await.unwrap();
    // The preface and empty settings, and then silence.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let stats = world.running.stats();
    eventually("the connection is there", || stats.connections() == 1).await;
    eventually("the connection is let go", || stats.connections() == 0).await;
    drop(stream);
}

// features: B10
#[tokio::test]
async fn an_unused_connection_is_closed_and_opened_again_when_needed() {
    let world = start(options(), greeter()).await;
    let client = Client::builder().idle_timeout(Duration::from_millis(50)).build();
    let stats = world.running.stats();
    for _ in 0..2 {
        let answer: Text = client.call("g", "Greeter.Greet", &text("x")).address(&*world.address).await.unwrap();
        assert_eq!(answer.text, "Hello x");
        eventually("the connection is closed", || stats.connections() == 0).await;
    }
}

// features: B10
#[tokio::test]
async fn calls_share_one_connection() {
    let world = start(options(), greeter()).await;
    let client = Client::builder().build();
    for _ in 0..50 {
        client.call::<Text, Text>("g", "Greeter.Greet", &text("x")).address(&*world.address).await.unwrap();
    }
    assert_eq!(world.running.stats().connections(), 1);
}
