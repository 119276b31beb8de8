//! Services on machines of their own, with links that are pulled. It needs the right to make network namespaces: the test
//! command runs it where that is given, and says so where it is not.

use std::time::{Duration, Instant};

use bytes::Bytes;
use micro::registry::Registry;
use micro_faults::Network;

use crate::calls::Callers;
use crate::process::Program;
use crate::support::{service, unique, until};

const NODES: usize = 3;

/// How long a call may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Calls a second, of those that may run twice and of the others.
const RATE: u32 = 400;

/// How often members gossip, and how long they may be silent.
const TIMES: &str = "interval_ms=100&silence_ms=2000";
const SILENCE: Duration = Duration::from_secs(2);

/// Runs a test on a host of a network: whatever it starts is there.
fn on_host<T: Send>(network: &Network, host: usize, test: impl AsyncFnOnce() -> T + Send) -> T {
    network.inside(host, || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(test())
    })
}

/// Starts a program on a host.
async fn program(network: &Network, host: usize, name: &str, settings: &[(&str, &str)]) -> Program {
    let runtime = tokio::runtime::Handle::current();
    let mut program = network.inside(host, || {
        let _entered = runtime.enter();
        Program::start(name, settings)
    });
    program.line("Registering node").await;
    program
}

#[test]
#[ignore = "needs root; `cargo xtask test` runs it where it is given"]
fn a_node_whose_link_goes_down_fails_no_more_calls_than_it_had_and_is_used_again_once_it_is_up() {
    let network = Network::of(4).unwrap();
    on_host(&network, 0, async || {
        let name = unique("fleet");
        let place = |host| format!("{}:9001", network.address(host));
        let mut nodes = Vec::new();
        for host in 1..=NODES {
            nodes.push(program(&network, host, &name, &[("MICRO_SERVER_ADDRESS", &place(host))]).await);
        }
        let list = format!("static://{name}={},{},{}", place(1), place(2), place(3));
        let caller = service(&unique("caller"));
        let caller = caller
            .registry(list.as_str())
            .selector("p2c?decay=2s&eject_time=1s&eject_longest=2s")
            .timeout(TIMEOUT)
            .build()
            .unwrap();
        let client = caller.client();
        let once = Callers::start(&client, &name, RATE, false);
        let twice = Callers::start(&client, &name, RATE, true);
        for callers in [&once, &twice] {
            until("every node is called", async || callers.tally.seen.lock().unwrap().len() == NODES).await;
            callers.pass(500).await;
            assert_eq!(*callers.tally.failed.lock().unwrap(), Vec::<String>::new());
        }

        let known = client.cache().and_then(|cache| cache.peek(&name)).expect("the nodes are known");
        let its = known.candidates().iter().find(|known| *known.node.address == *place(2)).expect("it is known");
        network.unplug(2);
        let unplugged = Instant::now();
        let mut most = its.in_flight();
        // Until those that were on it have ended, and long after.
        while unplugged.elapsed() < TIMEOUT * 2 {
            most = most.max(its.in_flight());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for callers in [&once, &twice] {
            let failed = callers.tally.failed();
            callers.pass(500).await;
            assert_eq!(callers.tally.failed(), failed, "the others answer");
            callers.tally.seen.lock().unwrap().clear();
        }
        network.plug(2);
        for callers in [&once, &twice] {
            until("every node is called", async || callers.tally.seen.lock().unwrap().len() == NODES).await;
        }
        let (once, twice) = (once.end().await, twice.end().await);
        assert_eq!(*twice.failed.lock().unwrap(), Vec::<String>::new());
        let failed = once.failed.lock().unwrap();
        assert!(failed.len() <= most as usize, "{} calls failed, {most} were on the way: {failed:#?}", failed.len());
    });
}

/// The hosts on which a service is found, sorted.
async fn hosts(registry: &dyn Registry, name: &str) -> Vec<String> {
    let found = registry.get(name).await.unwrap_or_default();
    let nodes = found.into_iter().flat_map(|record| record.nodes);
    let mut hosts: Vec<String> = nodes.map(|node| node.address.split(':').next().unwrap().to_owned()).collect();
    hosts.sort();
    hosts
}

/// Starts a service whose nodes tell each other, the one of host 0 being the seed of all.
async fn gossiping(network: &Network, host: usize, name: &str) -> Program {
    let (own, seed) = (network.address(host), network.address(0));
    let registry = format!("gossip://{seed}:7946?listen={own}:7946&{TIMES}");
    let place = format!("{own}:0");
    program(network, host, name, &[("MICRO_REGISTRY", &registry), ("MICRO_SERVER_ADDRESS", &place)]).await
}

#[test]
#[ignore = "needs root; `cargo xtask test` runs it where it is given"]
fn of_three_machines_that_gossip_one_whose_link_is_down_is_gone_within_its_limit_and_comes_back() {
    let network = Network::of(3).unwrap();
    on_host(&network, 0, async || {
        let name = unique("fleet");
        let address = format!("gossip://?listen={}:7946&{TIMES}", network.address(0));
        let observer = service(&unique("observer")).registry(address.as_str()).build().unwrap();
        let (client, registry) = (observer.client(), observer.registry());
        registry.list().await.unwrap();
        let _near = gossiping(&network, 1, &name).await;
        let _far = gossiping(&network, 2, &name).await;
        let [near, far] = [1, 2].map(|host| network.address(host).to_string());
        until("both are found", async || hosts(&*registry, &name).await == [&*near, &*far]).await;
        let call = async || client.call::<Bytes, Bytes>(&name, "Echo.Say", &Bytes::new()).idempotent().await;
        for _ in 0..10 {
            call().await.unwrap();
        }

        network.unplug(2);
        let unplugged = Instant::now();
        until("the one that is cut off is gone", async || hosts(&*registry, &name).await == [&*near]).await;
        let after = unplugged.elapsed();
        assert!(after < SILENCE + Duration::from_millis(1_500), "it is gone after {after:?}");
        for _ in 0..10 {
            call().await.unwrap();
        }

        network.plug(2);
        until("both are found", async || hosts(&*registry, &name).await == [&*near, &*far]).await;
        for _ in 0..10 {
            call().await.unwrap();
        }
    });
}

#[test]
#[ignore = "needs root; `cargo xtask test` runs it where it is given"]
fn machines_find_each_other_by_multicast_and_one_that_was_cut_off_is_found_again() {
    let network = Network::of(3).unwrap();
    on_host(&network, 0, async || {
        // Nobody else is in the network, and the parts of a name are short in DNS.
        let name = "fleet";
        let registry = "mdns://224.0.0.251:5353?interval=1&ttl=3";
        let observer = service(&unique("observer")).registry(registry).build().unwrap();
        let (client, found_by) = (observer.client(), observer.registry());
        let mut nodes = Vec::new();
        for host in [1, 2] {
            let place = format!("{}:0", network.address(host));
            let settings = [
                ("MICRO_REGISTRY", registry),
                ("MICRO_REGISTER_TTL", "3s"),
                ("MICRO_REGISTER_INTERVAL", "1s"),
                ("MICRO_SERVER_ADDRESS", &place),
            ];
            nodes.push(program(&network, host, name, &settings).await);
        }
        let [near, far] = [1, 2].map(|host| network.address(host).to_string());
        until("both are found at first", async || hosts(&*found_by, name).await == [&*near, &*far]).await;
        network.unplug(2);
        until("the one that is cut off is gone", async || hosts(&*found_by, name).await == [&*near]).await;
        client.call::<Bytes, Bytes>(name, "Echo.Say", &Bytes::new()).await.unwrap();
        network.plug(2);
        until("both are found again", async || hosts(&*found_by, name).await == [&*near, &*far]).await;
    });
}
