//! Callers of five processes that are restarted one after another, or killed: services with their defaults, found in the
//! embedded registry.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use micro::Client;
use rustix::process::Signal;

use crate::calls::Callers;
use crate::process::Program;
use crate::support::{LIMIT, service, unique, until};

const NODES: usize = 5;

/// Calls a second, where the machine makes so many.
const RATE: u32 = 2_000;

struct Fleet {
    name: String,
    home: tempfile::TempDir,
    nodes: Vec<Program>,
}

impl Fleet {
    async fn start() -> Self {
        let mut fleet = Self { name: unique("fleet"), home: tempfile::tempdir().unwrap(), nodes: Vec::new() };
        for _ in 0..NODES {
            let node = fleet.node().await;
            fleet.nodes.push(node);
        }
        fleet
    }

    /// Starts a node and waits until it says that it is registered.
    async fn node(&self) -> Program {
        let home = self.home.path().to_str().unwrap();
        let mut node = Program::start(&self.name, &[("MICRO_HOME", home), ("MICRO_REGISTRY", "embedded")]);
        node.line("Registering node").await;
        node
    }

    /// Returns a client with its defaults that knows all nodes.
    async fn client(&self) -> Client {
        let caller = service(&unique("caller")).home(self.home.path()).registry("embedded").build().unwrap();
        let (registry, client) = (caller.registry(), caller.client());
        until("all nodes are registered", async || {
            let found = registry.get(&self.name).await.unwrap();
            found.iter().map(|record| record.nodes.len()).sum::<usize>() == NODES
        })
        .await;
        client
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_of_five_nodes_fails_no_call() {
    let mut fleet = Fleet::start().await;
    let callers = Callers::start(&fleet.client().await, &fleet.name, RATE, false);
    callers.pass(200).await;
    let mut processes: HashSet<_> = fleet.nodes.iter().map(|node| node.child.id().unwrap()).collect();
    for place in 0..NODES {
        let next = fleet.node().await;
        let node = std::mem::replace(&mut fleet.nodes[place], next);
        node.signal(Signal::TERM);
        let (lines, code) = node.end().await;
        assert_eq!(code, Some(0), "{lines:#?}");
        processes.insert(fleet.nodes[place].child.id().unwrap());
        callers.pass(200).await;
    }
    // A new node's share grows by and by.
    let tally = Arc::clone(&callers.tally);
    until("every node was called", async || tally.seen.lock().unwrap().len() >= processes.len()).await;
    let tally = callers.end().await;
    let failed = tally.failed.lock().unwrap();
    assert!(
        failed.is_empty(),
        "{} of {} calls failed: {:#?}",
        failed.len(),
        tally.done.load(Ordering::SeqCst),
        &failed[..failed.len().min(5)]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_stop_before_their_successors_start_fail_no_call_either() {
    let mut fleet = Fleet::start().await;
    let callers = Callers::start(&fleet.client().await, &fleet.name, RATE, false);
    callers.pass(200).await;
    for _ in 0..NODES {
        let node = fleet.nodes.remove(0);
        node.signal(Signal::TERM);
        assert_eq!(node.end().await.1, Some(0));
        callers.pass(200).await;
        let next = fleet.node().await;
        fleet.nodes.push(next);
    }
    callers.pass(200).await;
    let tally = callers.end().await;
    let failed = tally.failed.lock().unwrap();
    assert!(
        failed.is_empty(),
        "{} of {} calls failed: {:#?}",
        failed.len(),
        tally.done.load(Ordering::SeqCst),
        &failed[..failed.len().min(5)]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_a_node_fails_no_more_calls_than_it_had_and_none_that_may_run_twice() {
    let mut fleet = Fleet::start().await;
    let client = fleet.client().await;
    let once = Callers::start(&client, &fleet.name, RATE / 4, false);
    let twice = Callers::start(&client, &fleet.name, RATE / 4, true);
    once.pass(200).await;
    twice.pass(200).await;
    let mut node = fleet.nodes.remove(2);
    let listening = node.seen.iter().find_map(|line| line.split_once("Listening on ")).expect("it says where").1.trim();
    let known = client.cache().and_then(|cache| cache.peek(&fleet.name)).expect("the nodes are known");
    let its = known.candidates().iter().find(|known| *known.node.address == *listening).expect("it is known");
    let mut most = its.in_flight();
    node.child.start_kill().unwrap();
    while node.child.try_wait().unwrap().is_none() {
        most = most.max(its.in_flight());
        tokio::task::yield_now().await;
    }
    once.pass(500).await;
    twice.pass(500).await;
    let (once, twice) = (once.end().await, twice.end().await);
    assert_eq!(*twice.failed.lock().unwrap(), Vec::<String>::new());
    let failed = once.failed.lock().unwrap();
    assert!(failed.len() <= most as usize, "{} calls failed, {most} were on the way: {failed:#?}", failed.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_all_nodes_were_killed_calls_succeed_soon_after_the_first_is_back() {
    let mut fleet = Fleet::start().await;
    let client = fleet.client().await;
    let callers = Callers::start(&client, &fleet.name, RATE / 4, true);
    callers.pass(200).await;
    assert_eq!(callers.tally.failed(), 0);
    for mut node in fleet.nodes.drain(..) {
        node.child.start_kill().unwrap();
        node.child.wait().await.unwrap();
    }
    callers.pass(500).await;
    assert!(callers.tally.failed() > 0, "nobody is there");
    for count in 1..=NODES {
        let node = fleet.node().await;
        fleet.nodes.push(node);
        let began = Instant::now();
        // Two hundred in a row are no chance.
        loop {
            let failed = callers.tally.failed();
            callers.pass(200).await;
            if callers.tally.failed() == failed {
                break;
            }
            assert!(
                began.elapsed() < LIMIT,
                "with {count} nodes back calls fail: {:?}",
                callers.tally.failed.lock().unwrap().last()
            );
        }
    }
    callers.end().await;
}
