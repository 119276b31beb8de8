//! What is tried again, and what never.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use micro_core::registry::{Memory, Node, Registry, Service};
use micro_core::{Error, Kind};
use micro_rpc::{Client, Endpoint};

use crate::raw::{self, frame};
use crate::world::{Text, World, options, start, text, world};

/// A service that fails the first times, and how often it ran.
async fn failing(times: u32, error: fn() -> Error) -> (World, Arc<AtomicU32>) {
    let runs = Arc::new(AtomicU32::new(0));
    let count = runs.clone();
    let endpoint = Endpoint::unary("Try.It", move |_, _: Text| {
        let run = count.fetch_add(1, Ordering::SeqCst);
        async move { if run < times { Err(error()) } else { Ok(text("done")) } }
    });
    (start(options(), vec![endpoint]).await, runs)
}

// features: B9
#[tokio::test]
async fn what_may_have_run_is_not_tried_again() {
    for error in [|| Error::internal("s", "x"), || Error::timeout("s", "x"), || Error::new(Kind::Unavailable, "x")] {
        let (world, runs) = failing(1, error).await;
        let request = text("");
        let call = world.client.call::<Text, Text>("s", "Try.It", &request).address(&*world.address).retries(5);
        assert!(call.await.is_err());
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    }
}

// features: B9
#[tokio::test]
async fn what_is_marked_idempotent_is_tried_again() {
    let (world, runs) = failing(2, || Error::internal("s", "x")).await;
    let request = text("");
    let call = world.client.call::<Text, Text>("s", "Try.It", &request).address(&*world.address);
    assert_eq!(call.retries(2).idempotent().await.unwrap().text, "done");
    assert_eq!(runs.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn an_answer_that_no_try_can_mend_is_not_tried_again() {
    let (world, runs) = failing(1, || Error::conflict("s", "x")).await;
    let request = text("");
    let call = world.client.call::<Text, Text>("s", "Try.It", &request).address(&*world.address);
    assert_eq!(call.retries(5).idempotent().await.unwrap_err().kind(), Kind::Conflict);
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

// features: B9
#[tokio::test]
async fn no_retries_means_none() {
    let (world, runs) = failing(1, || Error::internal("s", "x")).await;
    let request = text("");
    let call = world.client.call::<Text, Text>("s", "Try.It", &request).address(&*world.address);
    assert!(call.retries(0).idempotent().await.is_err());
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_call_the_other_side_refused_to_begin_is_tried_again() {
    let runs = Arc::new(AtomicU32::new(0));
    let count = runs.clone();
    let address = raw::serve(move |_, mut respond| {
        let run = count.fetch_add(1, Ordering::SeqCst);
        async move {
            if run == 0 {
                respond.send_reset(h2::Reason::REFUSED_STREAM);
            } else {
                raw::respond(respond, Some(frame(&text("done"))), &[("grpc-status", "0")]);
            }
        }
    })
    .await;
    let answer = Client::default().call::<Text, Text>("s", "A.B", &text("")).address(&*address).await.unwrap();
    assert_eq!((answer.text.as_str(), runs.load(Ordering::SeqCst)), ("done", 2));
}

// features: B9
#[tokio::test]
async fn a_refused_connection_sends_the_call_to_another_node() {
    let world = world().await;
    // A port that was free a moment ago.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let registry = Arc::new(Memory::new());
    let record = Service::new("greeter", "1").node(Node::new("a", &gone)).node(Node::new("b", &world.address));
    registry.register(&record, Duration::from_secs(60)).await.unwrap();
    let client = Client::builder().registry(registry).build();
    for _ in 0..20 {
        let answer: Text = client.call("greeter", "Greeter.Greet", &text("John")).await.unwrap();
        assert_eq!(answer.text, "Hello John");
    }
}

#[tokio::test]
async fn a_refused_connection_names_the_address() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let error =
        Client::default().call::<Text, Text>("greeter", "Greeter.Greet", &text("")).address(&*gone).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
    let shown = error.to_string();
    assert!(shown.contains(&format!("connection to {gone} was refused: nothing listens there")), "{shown}");
    assert!(shown.contains("service greeter, endpoint Greeter.Greet") && shown.contains("tries 2"), "{shown}");
}
