//! How many connections there are, and when they are opened.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use micro_core::Result;
use micro_rpc::{Client, Endpoint};
use tokio::task::JoinSet;

use crate::raw::eventually;
use crate::world::{Text, World, options, start, text};

/// A server that takes 16 calls a connection and answers none, and how many it has.
async fn holding() -> (World, Arc<AtomicUsize>) {
    let running = Arc::new(AtomicUsize::new(0));
    let count = running.clone();
    let hold = Endpoint::unary("Try.Hold", move |_, _: Text| {
        count.fetch_add(1, Ordering::SeqCst);
        std::future::pending::<Result<Text>>()
    });
    let fast = Endpoint::unary("Try.Fast", |_, request: Text| async move { Ok(request) });
    (start(options().max_concurrent_streams(16), vec![hold, fast]).await, running)
}

/// Begins so many calls that have no answer, until this is dropped.
fn hold(client: &Client, address: &str, count: usize) -> JoinSet<()> {
    let mut calls = JoinSet::new();
    for _ in 0..count {
        let (client, address) = (client.clone(), address.to_owned());
        calls.spawn(async move {
            let request = text("");
            let call = client.call::<Text, Text>("s", "Try.Hold", &request).address(address);
            let _ = call.timeout(Duration::from_secs(60)).await;
        });
    }
    calls
}

// features: B10
#[tokio::test]
async fn a_connection_is_opened_before_the_last_one_is_full() {
    let (world, running) = holding().await;
    let client = Client::builder().pool(4).build();
    let _few = hold(&client, &world.address, 11);
    eventually("eleven calls run", || running.load(Ordering::SeqCst) == 11).await;
    assert_eq!(world.running.stats().connections(), 1, "eleven of sixteen are not three quarters");
    let _more = hold(&client, &world.address, 1);
    eventually("the twelfth call has another opened", || world.running.stats().connections() == 2).await;
}

#[tokio::test]
async fn calls_beyond_what_a_peer_takes_on_a_connection_go_on_others() {
    let (world, running) = holding().await;
    let client = Client::builder().pool(4).build();
    let mut calls = Vec::new();
    for count in 1..=56 {
        calls.push(hold(&client, &world.address, 1));
        eventually("each call runs", || running.load(Ordering::SeqCst) == count).await;
    }
    assert_eq!(world.running.stats().connections(), 4);
}

// features: B10
#[tokio::test]
async fn few_calls_share_one_connection_and_an_idle_one_is_closed() {
    let (world, _) = holding().await;
    let client = Client::builder().idle_timeout(Duration::from_millis(200)).build();
    let request = text("x");
    let calls =
        (0..8).map(|_| client.call::<Text, Text>("s", "Try.Fast", &request).address(&*world.address).into_future());
    for answer in join_all(calls).await {
        answer.unwrap();
    }
    assert_eq!(world.running.stats().connections(), 1);
    eventually("the idle connection is closed", || world.running.stats().connections() == 0).await;
    client.call::<Text, Text>("s", "Try.Fast", &request).address(&*world.address).await.unwrap();
}
