//! Middleware round handlers and calls.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use micro_core::middleware::{Layers, Middleware, Next, Request, Response, Shape, Side, allow, from_fn, timeout};
use micro_core::{Context, Error, Kind};
use micro_rpc::{Client, ClientBuilder, Endpoint};

use crate::raw::{Raw, eventually, frame};
use crate::world::{Text, World, greeter, options, start, text};

/// What happened, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// Makes a middleware that notes when it is entered and left.
    fn layer(&self, name: &'static str) -> impl Middleware {
        let log = self.clone();
        from_fn(move |context: Context, request: Request, next: Next| {
            let log = log.clone();
            async move {
                log.note(format!("{name} in"));
                let answer = next.run(context, request).await;
                log.note(format!("{name} out"));
                answer
            }
        })
    }
}

async fn greet(world: &World, client: &Client) -> micro_core::Result<Text> {
    client.call("greeter", "Greeter.Greet", &text("John")).address(&*world.address).await
}

// features: B11
#[tokio::test]
async fn the_first_middleware_of_a_server_is_the_outermost() {
    let log = Log::default();
    let world = start(options().layer(log.layer("a")).layer(log.layer("b")), greeter()).await;
    assert_eq!(greet(&world, &world.client).await.unwrap().text, "Hello John");
    assert_eq!(log.take(), ["a in", "b in", "b out", "a out"]);
}

#[tokio::test]
async fn a_stream_is_one_run_from_its_opening_to_its_end() {
    let log = Log::default();
    let world = start(options().layer(log.layer("a")), greeter()).await;
    let call = world.client.stream::<Text, Text>("greeter", "Greeter.Chat").address(&*world.address);
    let mut chat = call.await.unwrap();
    for word in ["one", "two"] {
        chat.send(&text(word)).await.unwrap();
        assert_eq!(chat.recv().await.unwrap().unwrap().text, format!("re: {word}"));
    }
    assert_eq!(log.take(), ["a in"]);
    chat.close_send();
    assert!(chat.recv().await.unwrap().is_none());
    assert_eq!(log.take(), ["a out"]);
}

#[tokio::test]
async fn a_middleware_sees_what_is_called_and_by_what() {
    let seen = Log::default();
    let log = seen.clone();
    let look = from_fn(move |context: Context, request: Request, next: Next| {
        let body = if request.shape() == Shape::One { request.decode::<Text>().unwrap().text } else { String::new() };
        log.note(format!(
            "{:?} {:?} {} {} {body} {}",
            request.side(),
            request.shape(),
            request.service(),
            request.name(),
            context.peer().is_some() && request.metadata().get_str("tenant") == Some("acme")
        ));
        async move { next.run(context, request).await }
    });
    let world = start(options().layer(look), greeter()).await;
    let request = text("John");
    let call = world.client.call::<Text, Text>("greeter", "Greeter.Greet", &request).address(&*world.address);
    call.metadata("tenant", "acme").await.unwrap();
    let count = text("0");
    let call = world.client.server_stream::<Text, Text>("greeter", "Greeter.Count", &count);
    let mut numbers = call.address(&*world.address).metadata("tenant", "acme").await.unwrap();
    assert!(numbers.recv().await.unwrap().is_none());
    assert_eq!(
        seen.take(),
        ["Server One greeter Greeter.Greet John true", "Server Stream greeter Greeter.Count  true"]
    );
}

#[tokio::test]
async fn a_middleware_answers_in_place_of_the_handler() {
    let instead = from_fn(|_: Context, request: Request, _: Next| async move { request.answer(&text("instead")) });
    let world = start(options().layer(instead), greeter()).await;
    assert_eq!(greet(&world, &world.client).await.unwrap().text, "instead");
    let count = text("5");
    let call = world.client.server_stream::<Text, Text>("greeter", "Greeter.Count", &count);
    let mut numbers = call.address(&*world.address).await.unwrap();
    assert_eq!(numbers.recv().await.unwrap().unwrap().text, "instead");
    assert!(numbers.recv().await.unwrap().is_none());
}

#[tokio::test]
async fn a_handler_finds_what_a_middleware_changed() {
    let change = from_fn(|context: Context, mut request: Request, next: Next| async move {
        request.metadata_mut().set("tenant", "acme");
        if request.name() == "Greeter.Greet" {
            let body = request.answer(&text("Jane"))?.body();
            request.set_body(body);
        }
        let context = context.to_builder().timeout(Duration::from_millis(1500)).build();
        next.run(context, request).await
    });
    let world = start(options().layer(change), greeter()).await;
    assert_eq!(greet(&world, &world.client).await.unwrap().text, "Hello Jane");
    let ask = async |endpoint| {
        let request = text("tenant");
        world.client.call::<Text, Text>("greeter", endpoint, &request).address(&*world.address).await.unwrap().text
    };
    assert_eq!(ask("Greeter.Metadata").await, "acme");
    assert!(ask("Greeter.Remaining").await.parse::<u64>().unwrap() <= 1500);
}

#[tokio::test]
async fn what_is_not_allowed_does_not_run_and_health_is_always_allowed() {
    let check = allow(|request: &Request| match request.metadata().get_str("authorization") {
        Some("Bearer sesame") => Ok(()),
        _ => Err(Error::unauthorized("door", "say the word")),
    });
    let runs = Arc::new(AtomicU32::new(0));
    let count = runs.clone();
    let endpoint = Endpoint::unary("Door.Open", move |_, request: Text| {
        count.fetch_add(1, Ordering::SeqCst);
        async move { Ok(request) }
    });
    let world = start(options().layer(check), vec![endpoint]).await;
    let mut raw = Raw::connect(&world.address).await;
    let refused = raw.call("/Door/Open", &[], frame(&text("x"))).await;
    assert_eq!(refused.status().0, "16");
    assert!(refused.status().1.contains("say the word"), "{:?}", refused.status());
    assert_eq!(runs.load(Ordering::SeqCst), 0);
    let open = raw.call("/Door/Open", &[("authorization", "Bearer sesame")], frame(&text("x"))).await;
    assert_eq!((open.status().0, runs.load(Ordering::SeqCst)), ("0", 1));
    assert_eq!(raw.call("/grpc.health.v1.Health/Check", &[], frame(&text(""))).await.status().0, "0");
}

#[tokio::test]
async fn errors_look_the_same_with_middleware_as_without() {
    let log = Log::default();
    let (plain, layered) = (start(options(), greeter()).await, start(options().layer(log.layer("a")), greeter()).await);
    for (path, body) in [
        ("/Greeter/Greet", bytes::Bytes::from_static(&[0, 0, 0, 0, 1, 0xff])),
        ("/Greeter/Fail", frame(&text("gone"))),
        ("/Greeter/Panic", frame(&text("x"))),
        ("/Greeter/Count", bytes::Bytes::from_static(&[0, 0, 0, 0, 1, 0xff])),
        ("/Greeter/Chat", frame(&text("fail"))),
    ] {
        let mut answers = Vec::new();
        for world in [&plain, &layered] {
            let answer = Raw::connect(&world.address).await.call(path, &[], body.clone()).await;
            let status = (answer.status().0.to_owned(), answer.status().1.to_owned());
            answers.push((status, answer.get("grpc-status-details-bin").to_owned()));
        }
        assert_ne!(answers[0].0.0, "0", "{path}");
        assert_eq!(answers[0], answers[1], "{path}");
    }
}

#[tokio::test]
async fn a_panic_of_a_middleware_is_one_of_the_handler() {
    let panics = from_fn(|context: Context, request: Request, next: Next| async move {
        assert!(request.decode::<Text>()?.text == "fine", "out of order");
        next.run(context, request).await
    });
    let world = start(options().layer(panics), greeter()).await;
    let mut raw = Raw::connect(&world.address).await;
    let answer = raw.call("/Greeter/Greet", &[], frame(&text("x"))).await;
    assert_eq!(answer.status().0, "13");
    assert!(answer.status().1.contains("panic recovered: out of order"), "{:?}", answer.status());
    assert_eq!(raw.call("/Greeter/Greet", &[], frame(&text("fine"))).await.status().0, "0");
}

/// Tells when it is dropped.
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_cancels_the_middleware_and_its_handler() {
    let (outside, inside, runs) =
        (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
    let flag = outside.clone();
    let holds = from_fn(move |context: Context, request: Request, next: Next| {
        let guard = Dropped(flag.clone());
        async move {
            let _guard = guard;
            next.run(context, request).await
        }
    });
    let (flag, began) = (inside.clone(), runs.clone());
    let hang = Endpoint::unary("Hang.Up", move |_, _: Text| {
        let guard = Dropped(flag.clone());
        began.store(true, Ordering::SeqCst);
        async move {
            let _guard = guard;
            std::future::pending::<micro_core::Result<Text>>().await
        }
    });
    let world = start(options().layer(holds), vec![hang]).await;
    let mut raw = Raw::connect(&world.address).await;
    let (answer, mut stream) = raw.open("/Hang/Up", &[]).await;
    stream.send_data(frame(&text("x")), true).unwrap();
    eventually("it runs", || runs.load(Ordering::SeqCst)).await;
    assert!(!outside.load(Ordering::SeqCst) && !inside.load(Ordering::SeqCst));
    stream.send_reset(h2::Reason::CANCEL);
    drop(answer);
    eventually("both are dropped", || outside.load(Ordering::SeqCst) && inside.load(Ordering::SeqCst)).await;
}

#[tokio::test]
async fn a_timeout_ends_the_handler_whatever_the_caller_allows() {
    let world = start(options().layer(timeout(Duration::from_millis(50))), greeter()).await;
    let request = text("60000");
    let call = world.client.call::<Text, Text>("greeter", "Greeter.Sleep", &request).address(&*world.address);
    let error = call.timeout(Duration::from_secs(60)).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Timeout, 408), "{error}");
    assert!(error.to_string().contains("Greeter.Sleep was not done within the 50ms"), "{error}");
    let stats = world.running.stats();
    eventually("the handler is gone", || stats.in_flight() == 0).await;
}

#[tokio::test]
async fn layers_of_tower_itself_fit() {
    let tower = tower::timeout::TimeoutLayer::new(Duration::from_millis(50));
    let world = start(options().layer(tower::limit::ConcurrencyLimitLayer::new(1)).layer(tower), greeter()).await;
    assert_eq!(greet(&world, &world.client).await.unwrap().text, "Hello John");
    let request = text("60000");
    let call = world.client.call::<Text, Text>("greeter", "Greeter.Sleep", &request).address(&*world.address);
    let error = call.timeout(Duration::from_secs(60)).await.unwrap_err();
    assert!(error.to_string().contains("a middleware ended the call"), "{error}");
    // What our handlers return comes through as it was.
    let call = world.client.call::<Text, Text>("greeter", "Greeter.Fail", &request).address(&*world.address);
    assert_eq!(call.await.unwrap_err().kind(), Kind::NotFound);
}

fn client(layer: impl Middleware) -> Client {
    ClientBuilder::layer(Client::builder(), layer).build()
}

#[tokio::test]
async fn a_clients_middleware_is_round_a_call_with_all_its_tries() {
    let log = Log::default();
    let runs = Arc::new(AtomicU32::new(0));
    let count = runs.clone();
    let endpoint = Endpoint::unary("Try.It", move |_, request: Text| {
        let run = count.fetch_add(1, Ordering::SeqCst);
        async move { if run < 2 { Err(Error::internal("try", "not yet")) } else { Ok(request) } }
    });
    let world = start(options(), vec![endpoint]).await;
    let client = Client::builder().layer(log.layer("a")).layer(log.layer("b")).build();
    let request = text("x");
    let call = client.call::<Text, Text>("try", "Try.It", &request).address(&*world.address).retries(2).idempotent();
    assert_eq!(call.await.unwrap().text, "x");
    assert_eq!(runs.load(Ordering::SeqCst), 3);
    assert_eq!(log.take(), ["a in", "b in", "b out", "a out"]);
}

#[tokio::test]
async fn a_client_sends_what_its_middleware_changed() {
    let world = start(options(), greeter()).await;
    let client = client(from_fn(|context: Context, mut request: Request, next: Next| async move {
        assert_eq!((request.side(), request.service(), request.name()), (Side::Client, "greeter", "Greeter.Metadata"));
        request.metadata_mut().append("token", "t-7");
        next.run(context, request).await
    }));
    for name in ["token", "own"] {
        let request = text(name);
        let call = client.call::<Text, Text>("greeter", "Greeter.Metadata", &request).address(&*world.address);
        let found = call.metadata("own", "o-1").await.unwrap().text;
        assert_eq!(found, if name == "token" { "t-7" } else { "o-1" });
    }
}

#[tokio::test]
async fn a_clients_middleware_may_run_a_call_twice_or_never() {
    let world = start(options(), greeter()).await;
    let twice = client(from_fn(|context: Context, request: Request, next: Next| async move {
        let _ = next.run(context.clone(), request.clone()).await?;
        next.run(context, request).await
    }));
    assert_eq!(greet(&world, &twice).await.unwrap().text, "Hello John");
    assert_eq!(world.running.stats().requests(), 2);
    let never = client(from_fn(|_: Context, request: Request, _: Next| async move { request.answer(&text("known")) }));
    assert_eq!(greet(&world, &never).await.unwrap().text, "known");
    assert_eq!(world.running.stats().requests(), 2);
}

#[tokio::test]
async fn a_clients_middleware_is_round_the_opening_of_a_stream() {
    let world = start(options(), greeter()).await;
    let log = Log::default();
    let client = client(log.layer("a"));
    let mut chat = client.stream::<Text, Text>("greeter", "Greeter.Chat").address(&*world.address).await.unwrap();
    assert_eq!(log.take(), ["a in", "a out"]);
    chat.send(&text("x")).await.unwrap();
    assert_eq!(chat.recv().await.unwrap().unwrap().text, "re: x");
    let count = text("1");
    let call = client.server_stream::<Text, Text>("greeter", "Greeter.Count", &count);
    let mut numbers = call.address(&*world.address).await.unwrap();
    assert_eq!(numbers.recv().await.unwrap().unwrap().text, "0");
    let call = client.client_stream::<Text, Text>("greeter", "Greeter.Join").address(&*world.address);
    let join = call.await.unwrap();
    join.send(&text("all")).await.unwrap();
    assert_eq!(join.finish().await.unwrap().text, "all");
}

#[tokio::test]
async fn a_stream_that_a_middleware_did_not_open_is_an_error_that_says_so() {
    let world = start(options(), greeter()).await;
    let shut = client(from_fn(|_: Context, _: Request, _: Next| async move { Ok(Response::empty()) }));
    let call = shut.stream::<Text, Text>("greeter", "Greeter.Chat").address(&*world.address);
    let error = call.await.unwrap_err();
    assert!(error.to_string().contains("a middleware answered the stream Greeter.Chat"), "{error}");
    let denied = client(allow(|_: &Request| Err(Error::forbidden("caller", "not today"))));
    let call = denied.stream::<Text, Text>("greeter", "Greeter.Chat").address(&*world.address);
    assert_eq!(call.await.unwrap_err().kind(), Kind::Forbidden);
    assert_eq!(world.running.stats().requests(), 0);
}

#[tokio::test]
async fn a_call_through_middleware_shares_the_handlers_deadline_and_trace() {
    let log = Log::default();
    let world = start(options(), greeter()).await;
    let (client, address) = (client(log.layer("a")), world.address.clone());
    let hop = Endpoint::unary("Hop.Ask", move |_, request: Text| {
        let (client, address) = (client.clone(), address.clone());
        async move { client.call::<Text, Text>("greeter", "Greeter.Remaining", &request).address(address).await }
    });
    let hop = start(options(), vec![hop]).await;
    let request = text("");
    let call = world.client.call::<Text, Text>("hop", "Hop.Ask", &request).address(&*hop.address);
    let left: u64 = call.timeout(Duration::from_secs(2)).await.unwrap().text.parse().unwrap();
    assert!(left <= 2_000, "{left}");
    assert_eq!(log.take(), ["a in", "a out"]);
}

#[test]
fn no_middleware_builds_nothing() {
    let mut layers = Layers::default();
    assert!(layers.build().is_none());
    layers.add(timeout(Duration::from_secs(1)));
    assert!(layers.build().is_some());
}
