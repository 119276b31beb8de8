//! Five services that all fail at once, and come back one by one: what their callers send meanwhile, and when it is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use micro::prelude::*;
use micro::{Client, Running};

use crate::support::{LIMIT, service, unique};

const NODES: usize = 5;

#[derive(Default)]
struct Fleet {
    tries: Arc<AtomicU32>,
    fails: Vec<Arc<AtomicBool>>,
    running: Vec<Running>,
}

impl Fleet {
    async fn start(name: &str) -> Self {
        let mut fleet = Self::default();
        for _ in 0..NODES {
            let mut node = service(name).build().unwrap();
            let (fails, tries) = (Arc::<AtomicBool>::default(), Arc::clone(&fleet.tries));
            let failing = Arc::clone(&fails);
            node.handle(Endpoint::unary("Fleet.Do", move |_: Context, body: Bytes| {
                tries.fetch_add(1, Ordering::SeqCst);
                let fails = failing.load(Ordering::SeqCst);
                async move { if fails { Err(Error::new(Kind::Unavailable, "told to fail")) } else { Ok(body) } }
            }));
            fleet.running.push(node.start().await.unwrap());
            fleet.fails.push(fails);
        }
        fleet
    }
}

/// Makes calls, a few at once, and returns how many succeeded.
async fn calls(client: &Client, name: &str, count: usize) -> usize {
    use futures_util::StreamExt as _;
    let one = |_| async { client.call::<Bytes, Bytes>(name, "Fleet.Do", &Bytes::new()).idempotent().await.is_ok() };
    let outcomes = futures_util::stream::iter(0..count).map(one).buffer_unordered(16);
    outcomes.filter(|succeeded| std::future::ready(*succeeded)).count().await
}

#[tokio::test]
async fn an_outage_of_all_nodes_adds_less_than_a_fifth_to_the_load_and_ends_with_the_first_node_that_is_back() {
    let name = unique("fleet");
    let fleet = Fleet::start(&name).await;
    let client = service(&unique("caller")).build().unwrap().client();
    assert_eq!(calls(&client, &name, 1_000).await, 1_000);
    assert_eq!(fleet.tries.load(Ordering::SeqCst), 1_000, "in good times nothing is tried twice");

    fleet.fails.iter().for_each(|fails| fails.store(true, Ordering::SeqCst));
    fleet.tries.store(0, Ordering::SeqCst);
    assert_eq!(calls(&client, &name, 3_000).await, 0);
    let tries = fleet.tries.load(Ordering::SeqCst);
    assert!((3_000..3_600).contains(&tries), "3000 calls became {tries}");

    for (count, fails) in fleet.fails.iter().enumerate() {
        fails.store(false, Ordering::SeqCst);
        let began = Instant::now();
        while calls(&client, &name, 100).await < 100 {
            assert!(began.elapsed() < LIMIT, "with {} nodes back calls still fail", count + 1);
        }
    }
    for running in fleet.running {
        running.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_service_that_was_gone_is_called_as_soon_as_a_node_is_there() {
    let name = unique("fleet");
    let fleet = Fleet::start(&name).await;
    let client = service(&unique("caller")).build().unwrap().client();
    assert_eq!(calls(&client, &name, 100).await, 100);
    for running in fleet.running {
        running.stop().await.unwrap();
    }
    assert_eq!(calls(&client, &name, 100).await, 0);
    let back = Fleet::start(&name).await;
    let began = Instant::now();
    while calls(&client, &name, 100).await < 100 {
        assert!(began.elapsed() < Duration::from_secs(2), "the nodes are there, and not called");
    }
    drop(back);
}
