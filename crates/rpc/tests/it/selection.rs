//! Which node gets the calls: the cases P01 to P06, over real servers on 127.0.0.2, 127.0.0.3 and so on.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use micro_core::registry::{Memory, Node, Registry, Service};
use micro_core::selector::{
    Candidate, ConsistentHash, Ejecting, Filter, P2c, RoundRobin, Selector, Sticky, Weighted, ZoneAware, from_fn,
};
use micro_core::{Error, Kind, Result};
use micro_rpc::{Client, Endpoint, Receiver, Sender, ServerOptions};

use crate::raw::eventually;
use crate::world::{Text, World, start, text};

/// Nodes `0`, `1`, … of the service `fleet`, each a server on an address of its own.
struct Fleet {
    registry: Arc<Memory>,
    worlds: Vec<World>,
    hits: Vec<Arc<AtomicU32>>,
    /// Nodes that answer with an error.
    fails: Vec<Arc<AtomicBool>>,
}

impl Fleet {
    /// Starts nodes that take these milliseconds for an answer.
    async fn start(took: &[u64]) -> Self {
        let mut fleet = Self { registry: Arc::default(), worlds: Vec::new(), hits: Vec::new(), fails: Vec::new() };
        let mut record = Service::new("fleet", "1");
        for (i, took) in took.iter().enumerate() {
            let (hits, fails) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
            let (count, failing, took) = (hits.clone(), fails.clone(), Duration::from_millis(*took));
            let who = Endpoint::unary("Fleet.Who", move |_, _: Text| {
                count.fetch_add(1, Ordering::SeqCst);
                let fails = failing.load(Ordering::SeqCst);
                async move {
                    tokio::time::sleep(took).await;
                    if fails { Err(Error::internal("fleet", "told to fail")) } else { Ok(text(i.to_string())) }
                }
            });
            let hang = Endpoint::unary("Fleet.Hang", |_, _: Text| std::future::pending::<Result<Text>>());
            let chat =
                Endpoint::stream("Fleet.Chat", |_, mut words: Receiver<Text>, answers: Sender<Text>| async move {
                    while let Some(word) = words.recv().await? {
                        answers.send(word).await?;
                    }
                    Ok(())
                });
            let options = ServerOptions::new("fleet").address(format!("127.0.0.{}:0", i + 2));
            let world = start(options, vec![who, hang, chat]).await;
            record = record.node(fleet.node(i, &world.address));
            fleet.worlds.push(world);
            fleet.hits.push(hits);
            fleet.fails.push(fails);
        }
        fleet.register(&record).await;
        fleet
    }

    fn node(&self, i: usize, address: &str) -> Node {
        let zone = if i.is_multiple_of(2) { "even" } else { "odd" };
        Node::new(i.to_string(), address).with("zone", zone).with("weight", i.to_string())
    }

    async fn register(&self, record: &Service) {
        self.registry.register(record, Duration::from_secs(600)).await.unwrap();
    }

    fn client(&self, selector: impl Selector) -> Client {
        Client::builder().registry(self.registry.clone()).selector(Arc::new(selector)).build()
    }

    /// The client as it is if nobody says how it chooses.
    fn usual(&self) -> Client {
        Client::builder().registry(self.registry.clone()).build()
    }

    fn hits(&self) -> Vec<u32> {
        self.hits.iter().map(|hits| hits.load(Ordering::SeqCst)).collect()
    }
}

async fn who(client: &Client) -> Result<String> {
    Ok(client.call::<Text, Text>("fleet", "Fleet.Who", &text("")).await?.text)
}

async fn who_for(client: &Client, key: &str) -> String {
    client.call::<Text, Text>("fleet", "Fleet.Who", &text("")).key(key).await.unwrap().text
}

/// Makes calls, so many at once.
async fn call(client: &Client, calls: usize, at_once: usize) {
    stream::iter(0..calls).for_each_concurrent(at_once, |_| async { drop(who(client).await) }).await;
}

/// Waits until the client knows so many nodes.
async fn nodes_are(client: &Client, count: usize) {
    let known = || client.cache().unwrap().peek("fleet").is_some_and(|known| known.candidates().len() == count);
    eventually("the client hears of the change", known).await;
}

async fn candidate(client: &Client, place: usize) -> Arc<Candidate> {
    client.cache().unwrap().get("fleet").await.unwrap().candidates()[place].clone()
}

// features: C9
#[tokio::test]
async fn p01_round_robin_is_even_over_equal_nodes() {
    let fleet = Fleet::start(&[0; 4]).await;
    call(&fleet.client(RoundRobin::default()), 100, 1).await;
    assert_eq!(fleet.hits(), [25; 4]);
}

#[tokio::test]
async fn p01_the_default_is_about_even_over_equal_nodes() {
    let fleet = Fleet::start(&[20; 4]).await;
    call(&fleet.usual(), 400, 16).await;
    assert!(fleet.hits().iter().all(|hits| *hits >= 50), "half of the equal share or more: {:?}", fleet.hits());
}

#[tokio::test]
async fn p02_the_default_avoids_a_node_ten_times_slower() {
    let fleet = Fleet::start(&[20, 20, 200, 20, 20]).await;
    call(&fleet.usual(), 400, 10).await;
    assert!(fleet.hits()[2] < 40, "half of the equal share or less: {:?}", fleet.hits());
}

#[tokio::test]
async fn p03_when_a_node_leaves_its_keys_alone_move() {
    let fleet = Fleet::start(&[0; 4]).await;
    let client = fleet.client(ConsistentHash::default());
    let keys: Vec<_> = (0..100).map(|key| format!("user-{key}")).collect();
    let mut homes = HashMap::new();
    for key in &keys {
        let home = who_for(&client, key).await;
        assert_eq!(who_for(&client, key).await, home);
        homes.insert(key, home);
    }
    let gone = Service::new("fleet", "1").node(fleet.node(1, &fleet.worlds[1].address));
    fleet.registry.deregister(&gone).await.unwrap();
    nodes_are(&client, 3).await;
    for key in &keys {
        let home = who_for(&client, key).await;
        assert!(home == homes[key] || homes[key] == "1", "{key} went from {} to {home}", homes[key]);
    }
    assert!(homes.values().any(|home| home == "1"));
}

#[tokio::test]
async fn p03_a_strategy_may_take_its_key_from_a_header() {
    let fleet = Fleet::start(&[0; 4]).await;
    let client = fleet.client(ConsistentHash::header("x-user"));
    for key in ["anna", "bert", "cara"] {
        let request = text("");
        let call = client.call::<Text, Text>("fleet", "Fleet.Who", &request).metadata("X-User", key);
        assert_eq!(call.await.unwrap().text, who_for(&client, key).await);
    }
}

#[tokio::test]
async fn a_session_stays_on_its_node_when_nodes_come() {
    let fleet = Fleet::start(&[0; 5]).await;
    let late = |i: usize| Service::new("fleet", "1").node(fleet.node(i, &fleet.worlds[i].address));
    for i in [2, 3, 4] {
        fleet.registry.deregister(&late(i)).await.unwrap();
    }
    let client = fleet.client(Sticky::default());
    let keys: Vec<_> = (0..30).map(|key| format!("session-{key}")).collect();
    let mut homes = HashMap::new();
    for key in &keys {
        homes.insert(key, who_for(&client, key).await);
    }
    for i in [2, 3, 4] {
        fleet.register(&late(i)).await;
    }
    nodes_are(&client, 5).await;
    for key in &keys {
        assert_eq!(who_for(&client, key).await, homes[key], "{key}");
    }
}

/// A port that takes connections and drops them, and how many came.
async fn dead() -> (String, Arc<AtomicU32>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.9:0").await.unwrap();
    let (address, came) = (listener.local_addr().unwrap().to_string(), Arc::new(AtomicU32::new(0)));
    let count = came.clone();
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    (address, came)
}

// features: C10
#[tokio::test]
async fn p04_a_dead_endpoint_that_stays_registered_leaves_the_rotation() {
    let fleet = Fleet::start(&[0; 3]).await;
    let (address, came) = dead().await;
    fleet.register(&Service::new("fleet", "1").node(Node::new("dead", address))).await;
    for selector in [Box::new(RoundRobin::default()) as Box<dyn Selector>, Box::new(P2c::default())] {
        let client = fleet.client(Ejecting::new(selector).time(Duration::from_secs(3_600)));
        for _ in 0..60 {
            let request = text("");
            let call = client.call::<Text, Text>("fleet", "Fleet.Who", &request).idempotent();
            call.await.unwrap();
        }
        let before = came.load(Ordering::SeqCst);
        call(&client, 100, 4).await;
        let after = came.load(Ordering::SeqCst);
        // P2c asks it so seldom that it may have failures left until it is out.
        assert!(after - before <= 4, "{before} {after}");
    }
    assert!(came.load(Ordering::SeqCst) >= 5, "it was asked before");
}

#[tokio::test]
async fn p04_a_node_that_is_no_longer_registered_gets_no_call() {
    let fleet = Fleet::start(&[0; 3]).await;
    let client = fleet.usual();
    call(&client, 10, 1).await;
    let gone = Service::new("fleet", "1").node(fleet.node(1, &fleet.worlds[1].address));
    fleet.registry.deregister(&gone).await.unwrap();
    nodes_are(&client, 2).await;
    let before = fleet.hits()[1];
    call(&client, 50, 5).await;
    assert_eq!(fleet.hits()[1], before);
}

// features: C10
#[tokio::test]
async fn p05_an_ejected_node_returns_when_it_answers_again() {
    let fleet = Fleet::start(&[0; 3]).await;
    let strategy = Ejecting::new(RoundRobin::default()).failures(3).time(Duration::from_millis(50));
    let client = fleet.client(strategy.longest(Duration::from_millis(200)));
    fleet.fails[1].store(true, Ordering::SeqCst);
    call(&client, 9, 1).await;
    assert!(fleet.hits()[1] >= 3);
    let node = candidate(&client, 1).await;
    fleet.fails[1].store(false, Ordering::SeqCst);
    let answered = async {
        while who(&client).await.ok().as_deref() != Some("1") {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), answered).await.expect("the node is tried again");
    assert!(!node.is_ejected(tokio::time::Instant::now()));
    let before = fleet.hits();
    call(&client, 30, 1).await;
    let gained: Vec<_> = fleet.hits().iter().zip(before).map(|(now, before)| now - before).collect();
    assert_eq!(gained, [10; 3]);
}

#[tokio::test]
async fn p06_when_most_nodes_fail_all_are_used() {
    let fleet = Fleet::start(&[0; 4]).await;
    let client = fleet.client(Ejecting::new(RoundRobin::default()).time(Duration::from_secs(3_600)));
    for fails in &fleet.fails[..3] {
        fails.store(true, Ordering::SeqCst);
    }
    call(&client, 100, 1).await;
    let before = fleet.hits();
    call(&client, 40, 1).await;
    let gained: Vec<_> = fleet.hits().iter().zip(before).map(|(now, before)| now - before).collect();
    assert_eq!(gained, [10; 4]);
}

#[tokio::test]
async fn a_node_that_fails_at_once_does_not_draw_the_calls() {
    let fleet = Fleet::start(&[20, 20, 0, 20, 20]).await;
    fleet.fails[2].store(true, Ordering::SeqCst);
    call(&fleet.client(P2c::default()), 400, 10).await;
    assert!(fleet.hits()[2] < 80, "less than the equal share: {:?}", fleet.hits());
}

#[tokio::test]
async fn calls_go_by_weight_and_stay_in_the_zone() {
    let fleet = Fleet::start(&[0; 4]).await;
    call(&fleet.client(Weighted::default()), 60, 1).await;
    let hits = fleet.hits();
    assert!(hits[0] == 0 && hits[1] < hits[2] && hits[2] < hits[3] && hits.iter().sum::<u32>() == 60, "{hits:?}");
    call(&fleet.client(ZoneAware::new("even", RoundRobin::default())), 60, 1).await;
    assert_eq!((fleet.hits()[1], fleet.hits()[3]), (hits[1], hits[3]));
}

#[tokio::test]
async fn a_call_may_bring_a_strategy_of_the_users_own() {
    let fleet = Fleet::start(&[0; 3]).await;
    let client = fleet.usual();
    let last: Arc<dyn Selector> = Arc::new(from_fn("last", |nodes| nodes.len().checked_sub(1)));
    let request = text("");
    let make = || client.call::<Text, Text>("fleet", "Fleet.Who", &request).selector(last.clone());
    assert_eq!(make().await.unwrap().text, "2");
    assert_eq!(make().filter(Filter::label("zone", "odd")).await.unwrap().text, "1");
}

#[tokio::test]
async fn a_strategy_that_overlooks_a_filter_does_not_send_the_call_past_it() {
    #[derive(Debug)]
    struct First;
    impl Selector for First {
        fn name(&self) -> &'static str {
            "first"
        }

        fn select(&self, _: &micro_core::selector::Candidates, _: &micro_core::selector::Choice<'_>) -> Option<usize> {
            Some(0)
        }
    }
    let fleet = Fleet::start(&[0; 2]).await;
    let client = fleet.client(First);
    let request = text("");
    let call = client.call::<Text, Text>("fleet", "Fleet.Who", &request).filter(Filter::label("zone", "odd"));
    let error = call.await.unwrap_err();
    assert_eq!(error.kind(), Kind::NoNode);
    assert!(error.to_string().contains("the selector first found none of the 2 nodes of service fleet fit"), "{error}");
    assert_eq!(fleet.hits(), [0, 0]);
}

#[tokio::test]
async fn a_call_is_counted_on_its_node_until_it_is_answered_or_given_up() {
    let fleet = Fleet::start(&[0]).await;
    let client = fleet.usual();
    who(&client).await.unwrap();
    let node = candidate(&client, 0).await;
    assert_eq!(node.in_flight(), 0);
    assert!(node.latency().is_some());
    let caller = client.clone();
    let hanging = tokio::spawn(async move { caller.call::<Text, Text>("fleet", "Fleet.Hang", &text("")).await });
    eventually("the call is counted", || node.in_flight() == 1).await;
    hanging.abort();
    eventually("the call is no longer counted", || node.in_flight() == 0).await;
    let request = text("");
    let call = client.call::<Text, Text>("fleet", "Fleet.Hang", &request).timeout(Duration::from_millis(20));
    assert_eq!(call.await.unwrap_err().kind(), Kind::Timeout);
    assert_eq!(node.in_flight(), 0);
}

#[tokio::test]
async fn calls_that_time_out_speak_against_their_node() {
    let fleet = Fleet::start(&[0; 2]).await;
    let client = fleet.client(Ejecting::new(RoundRobin::default()).failures(2).time(Duration::from_secs(3_600)));
    for _ in 0..3 {
        let request = text("");
        let call = client.call::<Text, Text>("fleet", "Fleet.Hang", &request).timeout(Duration::from_millis(10));
        let _ = call.await.unwrap_err();
    }
    let now = tokio::time::Instant::now();
    let (one, other) = (candidate(&client, 0).await, candidate(&client, 1).await);
    assert!(one.is_ejected(now) != other.is_ejected(now), "two of the three were on one node");
}

#[tokio::test]
async fn a_stream_is_counted_until_it_ends_or_is_dropped() {
    let fleet = Fleet::start(&[0]).await;
    let client = fleet.usual();
    let mut stream = client.stream::<Text, Text>("fleet", "Fleet.Chat").await.unwrap();
    let node = candidate(&client, 0).await;
    stream.send(&text("a")).await.unwrap();
    assert_eq!(stream.recv().await.unwrap().unwrap().text, "a");
    assert_eq!(node.in_flight(), 1);
    drop(stream);
    eventually("the stream is no longer counted", || node.in_flight() == 0).await;
    let (sender, mut answers) = client.stream::<Text, Text>("fleet", "Fleet.Chat").await.unwrap().split();
    assert_eq!(node.in_flight(), 1);
    sender.send(text("b")).await.unwrap();
    drop(sender);
    while answers.recv().await.unwrap().is_some() {}
    assert_eq!(node.in_flight(), 0);
    assert_eq!(node.latency(), None, "how long a stream was open says nothing");
}

#[tokio::test]
async fn each_try_is_counted_once_on_its_own_node() {
    let fleet = Fleet::start(&[0; 3]).await;
    let client = fleet.usual();
    for fails in &fleet.fails {
        fails.store(true, Ordering::SeqCst);
    }
    let request = text("");
    let call = client.call::<Text, Text>("fleet", "Fleet.Who", &request).idempotent().retries(2);
    assert_eq!(call.await.unwrap_err().kind(), Kind::Internal);
    assert_eq!(fleet.hits(), [1; 3], "each try went to a node that was not tried before");
    for place in 0..3 {
        assert_eq!(candidate(&client, place).await.in_flight(), 0);
    }
}
