//! Calls that a server does not begin, because it has enough to do or they have no time left.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use micro_core::Kind;
use micro_core::registry::{Memory, Node, Registry, Service};
use micro_rpc::{Client, Endpoint, Sender, Server, ServerOptions};
use tokio::sync::Semaphore;

use crate::cores::futures_executor;
use crate::raw::{Raw, eventually, frame};
use crate::world::{Text, World, greeter, options, start, text};

/// A service whose `Slow.Do` holds a call until it is let go, and how often it ran.
struct Slow {
    world: World,
    runs: Arc<AtomicU32>,
    go: Arc<Semaphore>,
}

async fn slow(options: ServerOptions, limit: Option<usize>) -> Slow {
    let (runs, go) = (Arc::new(AtomicU32::new(0)), Arc::new(Semaphore::new(0)));
    let (count, gate) = (runs.clone(), go.clone());
    let mut endpoint = Endpoint::unary("Slow.Do", move |_, request: Text| {
        count.fetch_add(1, Ordering::SeqCst);
        let gate = gate.clone();
        async move {
            gate.acquire().await.unwrap().forget();
            Ok(request)
        }
    });
    if let Some(limit) = limit {
        endpoint = endpoint.max_in_flight(limit);
    }
    let mut endpoints = greeter();
    endpoints.push(endpoint);
    Slow { world: start(options, endpoints).await, runs, go }
}

#[tokio::test]
async fn an_endpoint_refuses_what_is_over_its_limit_and_the_others_go_on() {
    let slow = slow(options(), Some(2)).await;
    let mut raw = Raw::connect(&slow.world.address).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let (answer, mut stream) = raw.open("/Slow/Do", &[]).await;
        stream.send_data(frame(&text("x")), true).unwrap();
        held.push(answer);
    }
    eventually("two run", || slow.runs.load(Ordering::SeqCst) == 2).await;
    let refused = raw.call("/Slow/Do", &[], frame(&text("x"))).await;
    assert_eq!((refused.status().0, refused.get("micro-not-run")), ("8", "1"));
    assert!(refused.status().1.contains("\"code\":429"), "{:?}", refused.status());
    assert!(refused.status().1.contains("Slow.Do has 2 calls already"), "{:?}", refused.status());
    assert_eq!(raw.call("/Greeter/Greet", &[], frame(&text("x"))).await.status().0, "0", "another endpoint");
    assert_eq!(slow.world.running.stats().refused(), 1);

    slow.go.add_permits(3);
    for answer in held {
        assert_eq!(answer.await.unwrap().status().0, "0");
    }
    let again = raw.call("/Slow/Do", &[], frame(&text("x"))).await;
    assert_eq!(again.status().0, "0", "the places are free again");
    assert_eq!(slow.runs.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn the_servers_default_limits_each_endpoint_that_has_none_of_its_own() {
    for (own, most) in [(None, 1), (Some(3), 3)] {
        let slow = slow(options().endpoint_max_in_flight(1), own).await;
        let mut raw = Raw::connect(&slow.world.address).await;
        let mut held = Vec::new();
        for _ in 0..most {
            let (answer, mut stream) = raw.open("/Slow/Do", &[]).await;
            stream.send_data(frame(&text("x")), true).unwrap();
            held.push((answer, stream));
        }
        eventually("they run", || slow.runs.load(Ordering::SeqCst) == most).await;
        assert_eq!(raw.call("/Slow/Do", &[], frame(&text("x"))).await.status().0, "8", "own limit {own:?}");
        // Each endpoint counts for itself.
        assert_eq!(raw.call("/Greeter/Greet", &[], frame(&text("x"))).await.status().0, "0");
    }
}

#[tokio::test]
async fn a_limit_by_the_endpoints_name_goes_before_all_others() {
    let options = options().endpoint_max_in_flight(9).endpoint_limit("Slow.Do", 1);
    let slow = slow(options, Some(3)).await;
    let mut raw = Raw::connect(&slow.world.address).await;
    let (_answer, mut stream) = raw.open("/Slow/Do", &[]).await;
    stream.send_data(frame(&text("x")), true).unwrap();
    eventually("it runs", || slow.runs.load(Ordering::SeqCst) == 1).await;
    let refused = raw.call("/Slow/Do", &[], frame(&text("x"))).await;
    assert!(refused.status().1.contains("Slow.Do has 1 calls already"), "{:?}", refused.status());
    assert_eq!(raw.call("/Greeter/Greet", &[], frame(&text("x"))).await.status().0, "0", "another endpoint");
}

#[tokio::test]
async fn a_limit_of_no_endpoint_is_an_error_at_the_start_that_names_the_nearest() {
    for (wrong, hint) in [("Slow.Du", "did you mean Slow.Do?"), ("Orders.Place", "there are Slow.Do")] {
        let mut server = Server::new(options().endpoint_limit(wrong, 1));
        server.handle(Endpoint::unary("Slow.Do", |_, request: Text| async move { Ok(request) }));
        let error = server.start().await.unwrap_err();
        assert_eq!(error.kind(), Kind::Config);
        let text = error.to_string();
        assert!(text.contains(wrong) && text.contains(hint), "{text}");
    }
}

#[tokio::test]
async fn a_call_that_the_caller_gives_up_frees_its_place() {
    let slow = slow(options(), Some(1)).await;
    let mut raw = Raw::connect(&slow.world.address).await;
    let (answer, mut stream) = raw.open("/Slow/Do", &[]).await;
    stream.send_data(frame(&text("x")), true).unwrap();
    eventually("it runs", || slow.runs.load(Ordering::SeqCst) == 1).await;
    stream.send_reset(h2::Reason::CANCEL);
    drop(answer);
    let stats = slow.world.running.stats();
    eventually("it is dropped", || stats.in_flight() == 0).await;
    slow.go.add_permits(1);
    assert_eq!(raw.call("/Slow/Do", &[], frame(&text("x"))).await.status().0, "0");
}

#[tokio::test]
async fn a_refused_call_is_repeated_at_another_node_though_it_is_not_idempotent() {
    let (full, free) = (slow(options(), Some(0)).await, slow(options(), None).await);
    free.go.add_permits(1000);
    let registry = Arc::new(Memory::new());
    let record =
        Service::new("slow", "1").node(Node::new("a", &full.world.address)).node(Node::new("b", &free.world.address));
    registry.register(&record, Duration::from_secs(60)).await.unwrap();
    let client = Client::builder().registry(registry).build();
    let request = text("x");
    for _ in 0..50 {
        let answer: Text = client.call("slow", "Slow.Do", &request).retries(1).await.unwrap();
        assert_eq!(answer.text, "x");
    }
    assert_eq!((full.runs.load(Ordering::SeqCst), free.runs.load(Ordering::SeqCst)), (0, 50));
    assert!(full.world.running.stats().refused() > 0, "some came to the full one first");
}

/// A server that takes no call of this endpoint and one that does, as nodes of `greeter`.
async fn full_and_free(endpoint: &str) -> (World, World, Client) {
    let full = start(options().endpoint_limit(endpoint, 0), greeter()).await;
    let free = start(options(), greeter()).await;
    let registry = Arc::new(Memory::new());
    let record = Service::new("greeter", "1").node(Node::new("a", &full.address)).node(Node::new("b", &free.address));
    registry.register(&record, Duration::from_secs(60)).await.unwrap();
    (full, free, Client::builder().registry(registry).build())
}

#[tokio::test]
async fn a_refused_stream_of_answers_is_opened_at_another_node() {
    let (full, _free, client) = full_and_free("Greeter.Count").await;
    for _ in 0..50 {
        let request = text("3");
        let mut answers = client.server_stream::<Text, Text>("greeter", "Greeter.Count", &request).await.unwrap();
        for expected in ["0", "1", "2"] {
            assert_eq!(answers.recv().await.unwrap().unwrap().text, expected);
        }
        assert!(answers.recv().await.unwrap().is_none());
    }
    assert!(full.running.stats().refused() > 0, "some came to the full one first");
}

#[test]
fn a_caller_without_a_runtime_has_a_refused_stream_opened_anew_as_well() {
    let refused = futures_executor(async {
        let (full, _free, client) = full_and_free("Greeter.Count").await;
        for _ in 0..20 {
            let request = text("1");
            let mut answers = client.server_stream::<Text, Text>("greeter", "Greeter.Count", &request).await.unwrap();
            assert_eq!(answers.recv().await.unwrap().unwrap().text, "0");
        }
        full.running.stats().refused()
    });
    assert!(refused > 0, "some came to the full one first");
}

#[tokio::test]
async fn a_refused_stream_has_no_more_tries_than_the_call() {
    let full = start(options().endpoint_limit("Greeter.Count", 0), greeter()).await;
    for retries in [0, 2] {
        let before = full.running.stats().refused();
        let request = text("3");
        let call = full.client.server_stream::<Text, Text>("greeter", "Greeter.Count", &request);
        let mut answers = call.address(&*full.address).retries(retries).await.unwrap();
        let error = answers.recv().await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::ResourceExhausted, 429), "{error}");
        assert!(answers.recv().await.unwrap().is_none(), "it is over");
        assert_eq!(full.running.stats().refused() - before, u64::from(retries) + 1);
    }
}

#[tokio::test]
async fn a_stream_of_answers_that_began_is_not_opened_again() {
    let runs = Arc::new(AtomicU32::new(0));
    let count = runs.clone();
    let endpoint = Endpoint::server_stream("Try.It", move |_, request: Text, answers: Sender<Text>| {
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            answers.send(request).await?;
            Err(micro_core::Error::new(Kind::ResourceExhausted, "the quota is used up"))
        }
    });
    let world = start(options(), vec![endpoint]).await;
    let request = text("x");
    let call = world.client.server_stream::<Text, Text>("s", "Try.It", &request).address(&*world.address).retries(5);
    let mut answers = call.await.unwrap();
    assert_eq!(answers.recv().await.unwrap().unwrap().text, "x");
    assert_eq!(answers.recv().await.unwrap_err().kind(), Kind::ResourceExhausted);
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_refused_stream_of_requests_tells_its_caller_and_is_not_opened_again() {
    let full = start(options().endpoint_limit("Greeter.Chat", 0), greeter()).await;
    let chat = full.client.stream::<Text, Text>("greeter", "Greeter.Chat").address(&*full.address).await.unwrap();
    let (_sender, mut answers) = chat.split();
    let error = answers.recv().await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::ResourceExhausted, 429), "{error}");
    assert_eq!(full.running.stats().refused(), 1);
}

#[tokio::test]
async fn a_handlers_own_429_is_no_refusal_and_is_not_repeated() {
    let runs = Arc::new(AtomicU32::new(0));
    let count = runs.clone();
    let endpoint = Endpoint::unary("Try.It", move |_, _: Text| {
        count.fetch_add(1, Ordering::SeqCst);
        async { Err::<Text, _>(micro_core::Error::new(Kind::ResourceExhausted, "the quota is used up")) }
    });
    let world = start(options(), vec![endpoint]).await;
    let request = text("");
    let call = world.client.call::<Text, Text>("s", "Try.It", &request).address(&*world.address).retries(5);
    assert_eq!(call.await.unwrap_err().kind(), Kind::ResourceExhausted);
    assert_eq!((runs.load(Ordering::SeqCst), world.running.stats().refused()), (1, 0));
}

#[tokio::test]
async fn a_server_with_no_place_left_tells_its_health() {
    let world = start(options().max_in_flight(0).endpoint_max_in_flight(0), greeter()).await;
    let mut raw = Raw::connect(&world.address).await;
    assert_eq!(raw.call("/Greeter/Greet", &[], frame(&text("x"))).await.status().0, "8");
    assert_eq!(raw.call("/grpc.health.v1.Health/Check", &[], frame(&text(""))).await.status().0, "0");
}
