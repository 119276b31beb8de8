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
use micro_faults::Proxy;
use micro_rpc::{Client, ClientBuilder, Endpoint};
use socket2::{Domain, Socket, Type};
use tokio::time::{Instant, timeout};

use crate::world::{Text, World, options, start, text};

/// How long a call may take.
const TIME: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(30);

/// A node, which may be cut off without a word, and how often it began `Try.It`.
struct SomeNode {
    _world: World,
    wire: Proxy,
    runs: Arc<AtomicU32>,
}

/// A node that answers `Try.Fast`, and `Try.It` if it is not slow.
async fn node(slow: bool) -> SomeNode {
    let runs = Arc::<AtomicU32>::default();
    let count = Arc::clone(&runs);
    let it = Endpoint::unary("Try.It", move |_, request: Text| {
        count.fetch_add(1, Ordering::SeqCst);
        async move { if slow { std::future::pending::<Result<Text>>().await } else { Ok(request) } }
    });
    let fast = Endpoint::unary("Try.Fast", |_, request: Text| async move { Ok(request) });
    let world = start(options(), vec![it, fast]).await;
    let wire = Proxy::to(world.address.clone()).unwrap();
    SomeNode { _world: world, wire, runs }
}

fn runs(nodes: &[SomeNode]) -> u32 {
    nodes.iter().map(|node| node.runs.load(Ordering::SeqCst)).sum()
}

/// A client of these nodes, each of which it has a connection to.
async fn connected(nodes: &[SomeNode]) -> Client {
    let addresses: Vec<_> = nodes.iter().map(|node| node.wire.address()).collect();
    let client = client(&addresses.iter().map(String::as_str).collect::<Vec<_>>()).await.pool(1).build();
    for _ in nodes {
        client.call::<Text, Text>("s", "Try.Fast", &text("")).await.unwrap();
    }
    client
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
async fn a_call_that_may_run_twice_is_answered_by_another_node_when_its_own_falls_silent() {
    let nodes = [node(true).await, node(false).await];
    let (client, request) = (connected(&nodes).await, text(""));
    let calls = (0..2).map(|_| client.call::<Text, Text>("s", "Try.It", &request).idempotent().into_future());
    let mut calls: FuturesUnordered<_> = calls.collect();
    let cut = async {
        while nodes[0].runs.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        nodes[0].wire.hold();
    };
    let answered = async {
        while let Some(answer) = timeout(LIMIT, calls.next()).await.unwrap() {
            answer.unwrap();
        }
    };
    let ((), cut) = tokio::join!(answered, timeout(LIMIT, cut));
    cut.expect("the call reaches its node");
}

#[tokio::test]
async fn a_silent_node_is_waited_for_where_a_call_may_not_run_twice() {
    let nodes = [node(true).await, node(true).await];
    let (client, request) = (connected(&nodes).await, text(""));
    nodes.iter().for_each(|node| node.wire.hold());
    let began = Instant::now();
    let error = client.call::<Text, Text>("s", "Try.It", &request).await.unwrap_err();
    assert_eq!((error.kind(), runs(&nodes)), (Kind::Timeout, 0));
    let error = client.call::<Text, Text>("s", "Try.It", &request).idempotent().retries(0).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout, "no retries means none");
    assert!(began.elapsed() >= TIME * 2);
}

#[tokio::test]
async fn a_node_that_is_slow_and_answers_a_ping_is_waited_for() {
    let nodes = [node(true).await, node(true).await];
    let (client, request) = (connected(&nodes).await, text(""));
    let error = client.call::<Text, Text>("s", "Try.It", &request).idempotent().await.unwrap_err();
    assert_eq!((error.kind(), runs(&nodes)), (Kind::Timeout, 1));
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
    let ((address, _socket, _waiting), well) = (without_a_word(), node(false).await);
    let client = client(&[&address.to_string(), &well.wire.address()]).await.build();
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
