//! Nodes that say nothing, as behind a cable that was pulled.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use micro_core::registry::{Memory, Node, Registry, Service};
use micro_core::selector::RoundRobin;
use micro_core::{Kind, Result};
use micro_rpc::{Client, ClientBuilder, Endpoint};
use socket2::{Domain, Socket, Type};
use tokio::time::{Instant, timeout};

use crate::world::{Text, World, options, start, text};

/// How long a call may take.
const TIME: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(30);

/// A node that answers `Try.Fast`, and `Try.It` if it is not silent; and how often it began that.
async fn node(silent: bool) -> (World, Arc<AtomicU32>) {
    let runs = Arc::<AtomicU32>::default();
    let count = Arc::clone(&runs);
    let it = Endpoint::unary("Try.It", move |_, request: Text| {
        count.fetch_add(1, Ordering::SeqCst);
        async move { if silent { std::future::pending::<Result<Text>>().await } else { Ok(request) } }
    });
    let fast = Endpoint::unary("Try.Fast", |_, request: Text| async move { Ok(request) });
    (start(options(), vec![it, fast]).await, runs)
}

/// A client that asks one after the other.
async fn client(addresses: &[&str]) -> ClientBuilder {
    let registry = Arc::new(Memory::new());
    let nodes = addresses.iter().map(|address| Node::new(*address, *address));
    let record = nodes.fold(Service::new("s", "1"), Service::node);
    registry.register(&record, LIMIT * 2).await.unwrap();
    Client::builder().registry(registry).selector(Arc::new(RoundRobin::default())).timeout(TIME)
}

#[tokio::test]
async fn a_call_that_may_run_twice_is_answered_by_another_node_when_one_is_silent() {
    let ((silent, begun), (well, _)) = (node(true).await, node(false).await);
    let client = client(&[&silent.address, &well.address]).await.build();
    let request = text("");
    for _ in 0..4 {
        client.call::<Text, Text>("s", "Try.It", &request).idempotent().await.unwrap();
    }
    assert!(begun.load(Ordering::SeqCst) > 0, "the silent one was never asked");
}

#[tokio::test]
async fn a_call_that_may_run_twice_is_answered_by_another_node_when_its_own_falls_silent_meanwhile() {
    let ((silent, begun), (well, _)) = (node(true).await, node(false).await);
    let client = client(&[&silent.address, &well.address]).await.pool(1).build();
    let request = text("");
    for _ in 0..4 {
        let slow = client.call::<Text, Text>("s", "Try.It", &request).idempotent().into_future();
        let others = async {
            let began = Instant::now();
            while began.elapsed() < TIME / 10 {
                client.call::<Text, Text>("s", "Try.Fast", &request).await.unwrap();
            }
        };
        tokio::join!(slow, others).0.unwrap();
    }
    assert!(begun.load(Ordering::SeqCst) > 0, "the silent one was never asked");
}

#[tokio::test]
async fn a_silent_node_is_waited_for_where_a_call_may_not_run_twice() {
    let nodes = [node(true).await, node(true).await];
    let client = client(&[&nodes[0].0.address, &nodes[1].0.address]).await.build();
    let request = text("");
    let runs = || nodes.iter().map(|(_, runs)| runs.load(Ordering::SeqCst)).sum::<u32>();
    let error = client.call::<Text, Text>("s", "Try.It", &request).await.unwrap_err();
    assert_eq!((error.kind(), runs()), (Kind::Timeout, 1));
    let error = client.call::<Text, Text>("s", "Try.It", &request).idempotent().retries(0).await.unwrap_err();
    assert_eq!((error.kind(), runs()), (Kind::Timeout, 2), "no retries means none");
}

#[tokio::test]
async fn a_node_that_is_slow_and_heard_of_is_waited_for() {
    let nodes = [node(true).await, node(true).await];
    let client = client(&[&nodes[0].0.address, &nodes[1].0.address]).await.pool(1).build();
    let request = text("");
    let mut slow = Box::pin(client.call::<Text, Text>("s", "Try.It", &request).idempotent().into_future());
    let error = loop {
        let fast = async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            client.call::<Text, Text>("s", "Try.Fast", &request).await.unwrap()
        };
        tokio::select! {
            error = &mut slow => break error.unwrap_err(),
            _ = fast => {}
        }
    };
    assert_eq!(error.kind(), Kind::Timeout);
    assert_eq!(nodes.iter().map(|(_, runs)| runs.load(Ordering::SeqCst)).sum::<u32>(), 1);
}

/// An address that takes no connection and refuses none, for as long as what is returned lives.
fn without_a_word() -> (SocketAddr, Socket, Vec<TcpStream>) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    // Once so many wait to be accepted, the kernel lets no more in.
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        waiting.push(stream);
        assert!(waiting.len() < 100, "its queue never fills");
    }
    (address, socket, waiting)
}

#[tokio::test]
async fn a_call_that_gets_no_connection_goes_to_another_node_while_there_is_time() {
    let ((address, _socket, _waiting), (well, _)) = (without_a_word(), node(false).await);
    let client = client(&[&address.to_string(), &well.address]).await.build();
    let request = text("");
    let calls = (0..10).map(|_| client.call::<Text, Text>("s", "Try.It", &request).into_future());
    let mut calls: FuturesUnordered<_> = calls.collect();
    while let Some(answer) = timeout(LIMIT, calls.next()).await.unwrap() {
        answer.unwrap();
    }
    let error = client.call::<Text, Text>("s", "Try.It", &request).address(address.to_string()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout, "there is no other");
    assert!(error.to_string().contains("had no connection"), "{error}");
}
