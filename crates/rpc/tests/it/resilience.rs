//! Retries, hedging, breakers and limits over real servers: the cases P07 to P10.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use micro_core::registry::{Memory, Node, Registry, Service};
use micro_core::selector::RoundRobin;
use micro_core::{Error, Kind, Result};
use micro_rpc::resilience::{Backoff, Breaker, Budget, Concurrency, Hedge, Rate};
use micro_rpc::{Client, ClientBuilder, Endpoint, Receiver, Sender};
use tokio::time::{Instant, timeout};

use crate::raw::eventually;
use crate::world::{Text, World, options, start, text};

const LIMIT: Duration = Duration::from_secs(10);

/// What a node does with a call.
#[derive(Default)]
struct Node1 {
    runs: AtomicU32,
    /// Handlers that were dropped before they were done.
    dropped: AtomicU32,
    fails: AtomicBool,
    hangs: AtomicBool,
}

/// Counts a handler that does not come to its end.
struct Ending(Option<Arc<Node1>>);

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(node) = &self.0 {
            node.dropped.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Nodes of the service `s`, and what they do.
struct Fleet {
    registry: Arc<Memory>,
    nodes: Vec<Arc<Node1>>,
    worlds: Vec<World>,
}

impl Fleet {
    async fn start(count: usize) -> Self {
        let registry = Arc::new(Memory::new());
        let (mut nodes, mut worlds) = (Vec::new(), Vec::new());
        let mut record = Service::new("s", "1");
        for i in 0..count {
            let node = Arc::new(Node1::default());
            let own = node.clone();
            let call = Endpoint::unary("Try.It", move |_, _: Text| {
                own.runs.fetch_add(1, Ordering::SeqCst);
                let node = own.clone();
                async move {
                    let mut ending = Ending(Some(node.clone()));
                    if node.hangs.load(Ordering::SeqCst) {
                        std::future::pending::<()>().await;
                    }
                    ending.0 = None;
                    if node.fails.load(Ordering::SeqCst) {
                        return Err(Error::new(Kind::Unavailable, "told to fail"));
                    }
                    Ok(text(i.to_string()))
                }
            });
            let chat = Endpoint::stream("Try.Chat", |_, mut words: Receiver<Text>, answers: Sender<Text>| async move {
                while let Some(word) = words.recv().await? {
                    answers.send(word).await?;
                }
                Ok(())
            });
            let world = start(options(), vec![call, chat]).await;
            record = record.node(Node::new(format!("n{i}"), &world.address));
            nodes.push(node);
            worlds.push(world);
        }
        registry.register(&record, Duration::from_secs(60)).await.unwrap();
        Self { registry, nodes, worlds }
    }

    /// Without ejection, so that what is shown is not its doing.
    fn client(&self) -> ClientBuilder {
        let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(2));
        let registry: Arc<dyn Registry> = self.registry.clone();
        Client::builder().registry(registry).selector(Arc::new(RoundRobin::default())).backoff(backoff)
    }

    fn runs(&self) -> u32 {
        self.nodes.iter().map(|node| node.runs.load(Ordering::SeqCst)).sum()
    }

    fn all(&self, what: impl Fn(&Node1) -> &AtomicBool, so: bool) {
        self.nodes.iter().for_each(|node| what(node).store(so, Ordering::SeqCst));
    }
}

async fn call(client: &Client) -> Result<String> {
    let request = text("");
    timeout(LIMIT, client.call::<Text, Text>("s", "Try.It", &request).into_future()).await.unwrap().map(|a| a.text)
}

async fn idempotent(client: &Client) -> Result<String> {
    let request = text("");
    let call = client.call::<Text, Text>("s", "Try.It", &request).idempotent();
    timeout(LIMIT, call.into_future()).await.unwrap().map(|answer| answer.text)
}

// P08
// features: B9
#[tokio::test]
async fn p08_the_budget_holds_under_total_failure() {
    let fleet = Fleet::start(3).await;
    fleet.all(|node| &node.fails, true);
    let client = fleet.client().retries(5).build();
    for _ in 0..500 {
        assert!(idempotent(&client).await.is_err());
    }
    let runs = fleet.runs();
    // A tenth of the calls, ten to begin with, and one for each second that it took.
    assert!((550..600).contains(&runs), "500 calls became {runs}");
    let error = idempotent(&client).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    fleet.all(|node| &node.fails, false);
    idempotent(&client).await.unwrap();
}

#[tokio::test]
async fn without_a_budget_every_call_has_its_retries() {
    let fleet = Fleet::start(2).await;
    fleet.all(|node| &node.fails, true);
    let client = fleet.client().retries(3).retry_budget(None).build();
    for _ in 0..50 {
        assert!(idempotent(&client).await.is_err());
    }
    assert_eq!(fleet.runs(), 200);
}

// P09
#[tokio::test]
async fn p09_a_hedge_asks_a_second_node_and_cancels_the_loser() {
    let fleet = Fleet::start(2).await;
    fleet.nodes[0].hangs.store(true, Ordering::SeqCst);
    let client = fleet.client().hedge(Hedge::after(Duration::from_millis(20))).timeout(LIMIT).build();
    for _ in 0..4 {
        assert_eq!(idempotent(&client).await.unwrap(), "1");
    }
    let slow = &fleet.nodes[0];
    let asked = slow.runs.load(Ordering::SeqCst);
    assert!(asked >= 1, "the slow node was never asked");
    eventually("the losers are cancelled", || slow.dropped.load(Ordering::SeqCst) == asked).await;
}

#[tokio::test]
async fn p09_what_may_not_run_twice_is_not_hedged_nor_is_what_the_budget_has_no_try_for() {
    let fleet = Fleet::start(2).await;
    fleet.all(|node| &node.hangs, true);
    let hedged = || fleet.client().hedge(Hedge::after(Duration::from_millis(5))).timeout(Duration::from_millis(300));
    assert_eq!(call(&hedged().build()).await.unwrap_err().kind(), Kind::Timeout);
    assert_eq!(fleet.runs(), 1);
    let spent = Budget::new(0.0);
    while spent.retry() {}
    assert_eq!(idempotent(&hedged().retry_budget(spent).build()).await.unwrap_err().kind(), Kind::Timeout);
    assert_eq!(fleet.runs(), 2);
    assert_eq!(idempotent(&hedged().build()).await.unwrap_err().kind(), Kind::Timeout);
    assert_eq!(fleet.runs(), 4);
}

#[tokio::test]
async fn p09_a_hedge_whose_first_node_fails_waits_for_the_second() {
    let fleet = Fleet::start(2).await;
    // Each is asked first half of the time; the one that fails does so while the other is awaited.
    fleet.nodes[0].fails.store(true, Ordering::SeqCst);
    let client = fleet.client().retries(1).hedge(Hedge::after(Duration::ZERO)).build();
    for _ in 0..10 {
        assert_eq!(idempotent(&client).await.unwrap(), "1");
    }
}

// P10
// features: B17
#[tokio::test]
async fn p10_a_breaker_opens_half_opens_and_closes() {
    let fleet = Fleet::start(2).await;
    let breaker = Breaker::new().failures(3).time(Duration::from_millis(300));
    let client = fleet.client().retries(0).breaker(breaker).build();
    fleet.nodes[0].fails.store(true, Ordering::SeqCst);
    for _ in 0..20 {
        let _ = call(&client).await;
    }
    assert_eq!(fleet.nodes[0].runs.load(Ordering::SeqCst), 3, "three failures open it");
    fleet.nodes[1].fails.store(true, Ordering::SeqCst);
    for _ in 0..10 {
        let _ = call(&client).await;
    }
    let runs = fleet.runs();
    let error = call(&client).await.unwrap_err();
    assert_eq!((error.kind(), fleet.runs()), (Kind::Unavailable, runs), "nobody is called: {error}");
    assert!(error.to_string().contains("Try.It of service s at 2 nodes was not called"), "{error}");
    fleet.all(|node| &node.fails, false);
    let until = Instant::now() + LIMIT;
    for node in &fleet.nodes {
        let before = node.runs.load(Ordering::SeqCst);
        while node.runs.load(Ordering::SeqCst) < before + 3 {
            assert!(Instant::now() < until, "a node that is well again is not called");
            let _ = call(&client).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    for _ in 0..10 {
        call(&client).await.unwrap();
    }
}

#[tokio::test]
async fn a_breaker_is_that_of_one_endpoint() {
    let fleet = Fleet::start(1).await;
    let client = fleet.client().retries(0).breaker(Breaker::new().failures(1).time(LIMIT)).build();
    fleet.all(|node| &node.fails, true);
    assert!(call(&client).await.is_err());
    let runs = fleet.runs();
    assert!(call(&client).await.is_err());
    assert_eq!(fleet.runs(), runs);
    let stream = client.stream::<Text, Text>("s", "Try.Chat").await.unwrap();
    stream.send(&text("hello")).await.unwrap();
}

#[tokio::test]
async fn so_many_calls_and_streams_are_under_way_at_once() {
    let fleet = Fleet::start(1).await;
    let client = fleet.client().concurrency(Concurrency::new(2).waiting(1)).timeout(Duration::from_millis(300)).build();
    let open = || client.stream::<Text, Text>("s", "Try.Chat").into_future();
    let (first, _second) = (open().await.unwrap(), open().await.unwrap());
    let error = call(&client).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout);
    assert!(error.to_string().contains("had no place among the calls at once"), "{error}");
    let request = text("");
    let (waits, refused) = tokio::join!(call(&client), async {
        // The other one has its place among the waiting by then: both were polled.
        tokio::task::yield_now().await;
        client.call::<Text, Text>("s", "Try.It", &request).await
    });
    assert_eq!(waits.unwrap_err().kind(), Kind::Timeout);
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), Kind::ResourceExhausted);
    assert!(refused.to_string().contains("2 are under way and 1 wait"), "{refused}");
    assert_eq!(fleet.runs(), 0);
    drop(first);
    call(&client).await.unwrap();
    let other = Concurrency::new(1);
    client.call::<Text, Text>("s", "Try.It", &request).concurrency(&other).await.unwrap();
}

// features: B17
#[tokio::test]
async fn a_call_past_its_turn_is_refused_before_it_is_made() {
    let fleet = Fleet::start(1).await;
    let client = fleet.client().rate(Rate::per_second(1.0).burst(2)).timeout(Duration::from_millis(200)).build();
    call(&client).await.unwrap();
    call(&client).await.unwrap();
    let began = Instant::now();
    let error = call(&client).await.unwrap_err();
    assert_eq!(error.kind(), Kind::ResourceExhausted);
    assert!(began.elapsed() < Duration::from_millis(150), "it waited");
    assert_eq!(fleet.runs(), 2);
}

#[tokio::test]
async fn an_error_says_what_was_tried_where_how_often_and_how_long() {
    let mut fleet = Fleet::start(3).await;
    let mut addresses = Vec::new();
    for world in fleet.worlds.drain(..) {
        world.running.stop(Duration::ZERO).await;
        addresses.push(world.address);
    }
    let error = call(&fleet.client().retries(2).build()).await.unwrap_err();
    let shown = error.to_string();
    for part in ["service s", "endpoint Try.It", "tries 3", "within "].into_iter().chain(addresses.iter().map(|a| &**a))
    {
        assert!(shown.contains(part), "{part} is missing in: {shown}");
    }
}

#[tokio::test]
async fn a_try_that_could_not_end_in_time_is_not_begun() {
    let fleet = Fleet::start(1).await;
    fleet.all(|node| &node.fails, true);
    let backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(5));
    let client = fleet.client().retries(3).timeout(Duration::from_secs(2)).backoff(backoff).build();
    let began = Instant::now();
    let error = idempotent(&client).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "the failure is told, not that the time was over");
    assert!(began.elapsed() < Duration::from_secs(1), "it slept through its own end");
    assert_eq!(fleet.runs(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_restart_at_their_addresses_fail_no_call_though_no_registry_tells_of_it() {
    let mut fleet = Fleet::start(5).await;
    let registry: Arc<dyn Registry> = fleet.registry.clone();
    let client = Client::builder().registry(registry).build();
    let (over, done) = (Arc::<AtomicBool>::default(), Arc::<AtomicU32>::default());
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let (client, over, done) = (client.clone(), over.clone(), done.clone());
            tokio::spawn(async move {
                while !over.load(Ordering::SeqCst) {
                    call(&client).await?;
                    done.fetch_add(1, Ordering::SeqCst);
                }
                Ok::<_, Error>(())
            })
        })
        .collect();
    let mut restarted = Vec::new();
    for world in fleet.worlds.drain(..) {
        assert_eq!(world.running.stop(LIMIT).await, 0);
        let again = Endpoint::unary("Try.It", |_, _: Text| async { Ok(text("again")) });
        restarted.push(start(options().address(&*world.address), vec![again]).await);
        let before = done.load(Ordering::SeqCst);
        eventually("calls go on", || done.load(Ordering::SeqCst) >= before + 50 || over.load(Ordering::SeqCst)).await;
    }
    over.store(true, Ordering::SeqCst);
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
}
