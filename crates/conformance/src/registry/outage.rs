//! R17, R18, R24: a registry that is away, and comes back.

use std::sync::Arc;
use std::time::Duration;

use micro_core::registry::{Cache, Node, Registry, Service};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::followed::Followed;
use super::stage::{PAUSE, node};
use super::{Outage, Stage};
use crate::Failed;
use crate::case::rules;
use crate::failed::ensure;

rules! { registry:
    R17 what_registers_again_is_found_again_after_an_outage [Outage] "a node whose program registers it again and again is found again after the registry was away, also when the registry has forgotten everything";
    R18 what_is_known_is_served_while_the_registry_is_away [ToldOutage] "while the registry cannot be asked the cache serves the last known list at once and says that it is stale, until the registry is back";
    R24 no_change_is_lost_to_an_outage [Outage] "what came, changed and went during an outage is known afterwards to a watcher that asks for a new watch when its own ends, and to the cache";
}

/// Registers again and again, as a running service does; ended when it is dropped.
struct Beats(JoinHandle<()>);

impl Beats {
    fn begin(registry: Arc<dyn Registry>, service: Service, ttl: Duration) -> Self {
        Self(tokio::spawn(async move {
            loop {
                // One that fails is made good by the next.
                let _ = registry.register(&service, ttl).await;
                sleep(ttl / 5).await;
            }
        }))
    }
}

impl Drop for Beats {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn what_registers_again_is_found_again_after_an_outage(stage: Stage) -> Result<(), Failed> {
    let (outage, name, ttl) = (stage.outage()?, stage.service("s"), stage.ttl());
    let service = [node(&name, "1", 1)];
    let _beats = Beats::begin(outage.client(), service[0].clone(), ttl);
    let (caller, elsewhere) = (outage.client(), outage.elsewhere());
    for client in [&caller, &elsewhere] {
        stage.finds(client, &name, &service).await?;
    }
    for end in [<dyn Outage>::heal, <dyn Outage>::restart] {
        stage.change(&outage, <dyn Outage>::cut).await?;
        // So long that its registration is over.
        let cut_off = outage.elsewhere();
        stage.finds(&cut_off, &name, &[]).await?;
        stage.change(&outage, end).await?;
        for client in [&caller, &outage.elsewhere(), &outage.client()] {
            found_again(&stage, client, &name, &service).await?;
        }
    }
    Ok(())
}

/// Waits until a client finds these records. It may fail until the outage is over for it.
async fn found_again(
    stage: &Stage,
    registry: &Arc<dyn Registry>,
    name: &str,
    expected: &[Service],
) -> Result<(), Failed> {
    let until = Instant::now() + stage.limits().present;
    loop {
        let found = stage.get(registry, name).await;
        if found.as_deref() == Ok(expected) {
            return Ok(());
        }
        ensure!(Instant::now() < until, "after the outage there is {found:?}");
        sleep(PAUSE).await;
    }
}

async fn what_is_known_is_served_while_the_registry_is_away(stage: Stage) -> Result<(), Failed> {
    let (outage, name) = (stage.outage()?, stage.service("s"));
    let (client, elsewhere) = (outage.client(), outage.elsewhere());
    stage.register(&elsewhere, &node(&name, "1", 1)).await?;
    stage.finds(&client, &name, &[node(&name, "1", 1)]).await?;
    let (cache, ignorant) = (Cache::new(Arc::clone(&client)), Cache::new(Arc::clone(&client)));
    let known = stage.present("the cache", cache.get(&name)).await??;
    ensure!(!known.is_stale(), "while the registry is there what is known is called stale");
    // The list is kept true by a watch; the cut is only felt by one that has begun.
    stage.register(&elsewhere, &node(&name, "1", 2)).await?;
    caches(&stage, &cache, &name, &[1, 2], false).await?;
    stage.change(&outage, <dyn Outage>::cut).await?;
    caches(&stage, &cache, &name, &[1, 2], true).await?;
    let until = Instant::now() + stage.limits().absent;
    while Instant::now() < until {
        let began = Instant::now();
        let known = stage.present("the cache", cache.get(&name)).await??;
        let (took, count) = (began.elapsed(), known.candidates().len());
        ensure!(known.is_stale() && count == 2, "amid the outage {count} nodes are known, stale: {}", known.is_stale());
        ensure!(took < Duration::from_secs(1), "what is known takes {took:?}");
        ensure!(known.age() > Duration::ZERO, "what is stale is not said to be old");
        sleep(PAUSE).await;
    }
    let asked = stage.present("get", client.get(&name)).await?;
    ensure!(asked.is_err(), "a registry that is away answers {asked:?}");
    let asked = stage.present("the cache", ignorant.get(&name)).await?;
    ensure!(asked.is_err(), "of a registry that is away a cache without knowledge answers {asked:?}");
    stage.change(&outage, <dyn Outage>::heal).await?;
    caches(&stage, &cache, &name, &[1, 2], false).await
}

async fn no_change_is_lost_to_an_outage(stage: Stage) -> Result<(), Failed> {
    let (outage, name) = (stage.outage()?, stage.service("s"));
    let (client, before) = (outage.client(), outage.elsewhere());
    let numbered = |numbers: &[u16]| -> Vec<Service> { numbers.iter().map(|n| node(&name, "1", *n)).collect() };
    for service in numbered(&[1, 2, 3]) {
        stage.register(&before, &service).await?;
    }
    let mut followed = Followed::new(Arc::clone(&client), &name);
    let cache = Cache::new(Arc::clone(&client));
    followed.knows(&stage, &numbered(&[1, 2, 3])).await?;
    caches(&stage, &cache, &name, &[1, 2, 3], false).await?;
    stage.change(&outage, <dyn Outage>::cut).await?;
    let during = outage.elsewhere();
    let moved = Service::new(&name, "1").node(Node::new(format!("{name}-2"), "127.0.0.1:20099"));
    stage.deregister(&during, &node(&name, "1", 1)).await?;
    stage.register(&during, &moved).await?;
    stage.register(&during, &node(&name, "1", 4)).await?;
    // Else there was no outage, and the rest shows nothing.
    let heard = stage.get(&client, &name).await;
    let heard = heard.iter().flatten().flat_map(|service| &service.nodes).any(|one| one.id.ends_with("-4"));
    ensure!(!heard, "a client that is cut off finds what came after the cut");
    stage.change(&outage, <dyn Outage>::heal).await?;
    let mut expected = numbered(&[3, 4]);
    expected.push(moved);
    followed.knows(&stage, &expected).await?;
    caches(&stage, &cache, &name, &[3, 4, 99], false).await?;
    // And what comes afterwards is heard of.
    let after = outage.elsewhere();
    stage.register(&after, &node(&name, "1", 5)).await?;
    expected.push(node(&name, "1", 5));
    followed.knows(&stage, &expected).await?;
    caches(&stage, &cache, &name, &[3, 4, 5, 99], false).await
}

/// Waits until the cache knows the nodes at these ports, over 20,000, and whether it is stale.
async fn caches(stage: &Stage, cache: &Cache, name: &str, ports: &[u16], stale: bool) -> Result<(), Failed> {
    let until = Instant::now() + stage.limits().present;
    loop {
        let known = stage.present("the cache", cache.get(name)).await?;
        let found = known.map(|known| {
            let ports = known.candidates().iter().filter_map(|candidate| candidate.node.host_port());
            let mut ports: Vec<u16> = ports.map(|(_, port)| port - 20_000).collect();
            ports.sort_unstable();
            (ports, known.is_stale())
        });
        if found.as_ref().is_ok_and(|(found, is_stale)| found == ports && *is_stale == stale) {
            return Ok(());
        }
        ensure!(Instant::now() < until, "the cache knows {found:?} (ports, stale), not {ports:?}, {stale}");
        sleep(PAUSE).await;
    }
}
