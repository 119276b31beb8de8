//! A client of a service with ten thousand nodes, in the memory registry and in etcd.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use micro_core::address::Address;
use micro_core::registry::{Memory, Node, Registry, RegistryOptions, Service};
use micro_faults::Etcd;
use micro_rpc::Client;

use crate::child::{Child, until_parent_ends};
use crate::echo::Echo;
use crate::rounds::median;
use crate::{Result, meter};

/// How many nodes the service has.
const NODES: usize = 10_000;

/// How many are registered in etcd at once.
const AT_ONCE: usize = 64;

const ROUNDS: usize = 3;
const HOUR: Duration = Duration::from_secs(3_600);
const MEBIBYTE: f64 = (1 << 20) as f64;

/// What one registry costs.
pub(super) struct Scale {
    pub(super) registry: &'static str,
    /// Milliseconds from making the client to the first answer.
    pub(super) first: f64,
    /// MiB of the whole process behind a thousand calls more.
    pub(super) resident: f64,
}

/// Measures each registry that is there. The nodes of all ten thousand are at these addresses.
pub(super) fn measure(addresses: &str) -> Result<Vec<Scale>> {
    let mut scales = vec![scale_of("memory", "memory", addresses)?];
    // Where it is not installed, the page says so.
    let Ok(server) = Etcd::start() else { return Ok(scales) };
    let address = format!("etcd://{}", server.address());
    let runtime = tokio::runtime::Runtime::new().map_err(|e| e.to_string())?;
    let registry = etcd(&address).map_err(|e| e.to_string())?;
    let (registry, places) = (&registry, &addresses.split(',').collect::<Vec<_>>());
    let registering = stream::iter(0..NODES)
        .map(|i| async move { registry.register(&Service::new("bench", "latest").node(node(i, places)), HOUR).await });
    let registered: micro_core::Result<()> = runtime.block_on(registering.buffer_unordered(AT_ONCE).try_collect());
    registered.map_err(|e| e.to_string())?;
    scales.push(scale_of("etcd", &address, addresses)?);
    Ok(scales)
}

fn scale_of(name: &'static str, registry: &str, addresses: &str) -> Result<Scale> {
    let mut seen = Vec::new();
    for _ in 0..ROUNDS {
        let line = Child::start("survival-scale", &[registry, addresses])?.line()?;
        let fields: Vec<f64> = line.split(' ').filter_map(|field| field.parse().ok()).collect();
        let [first, resident] = fields[..] else { return Err(format!("unreadable: {line}")) };
        seen.push((first, resident));
    }
    let of = |value: fn(&(f64, f64)) -> f64| median(seen.iter().map(value).collect());
    Ok(Scale { registry: name, first: of(|seen| seen.0), resident: of(|seen| seen.1) })
}

fn etcd(address: &str) -> micro_core::Result<micro_registry_etcd::Etcd> {
    micro_registry_etcd::Etcd::with_options(&RegistryOptions::new().address(Address::parse(address)?))
}

fn node(i: usize, addresses: &[&str]) -> Node {
    let node = Node::new(format!("bench-{i:08}-2f4c-4c9d-9d4e-5d1c3f8a7b60"), addresses[i % addresses.len()]);
    node.with("protocol", "grpc").with("server", "grpc").with("registry", "etcd")
}

/// The process: prints the milliseconds to the first answer, and the MiB it has then.
pub(crate) fn scale(arguments: &[String]) -> Result<()> {
    let [registry, addresses] = arguments else { return Err("a registry and the addresses".to_owned()) };
    let addresses: Vec<&str> = addresses.split(',').collect();
    let runtime = tokio::runtime::Runtime::new().map_err(|e| e.to_string())?;
    let done: micro_core::Result<(f64, usize)> = runtime.block_on(async {
        let registry: Arc<dyn Registry> = if registry == "memory" {
            let memory = Memory::new();
            let nodes = (0..NODES).map(|i| node(i, &addresses));
            memory.register(&nodes.fold(Service::new("bench", "latest"), Service::node), HOUR).await?;
            Arc::new(memory)
        } else {
            Arc::new(etcd(registry)?)
        };
        let began = Instant::now();
        let client = Client::builder().registry(registry).build();
        client.call::<Echo, Echo>("bench", "Echo.Unary", &Echo::of(100)).await?;
        let took = began.elapsed().as_secs_f64() * 1e3;
        for _ in 0..1_000 {
            client.call::<Echo, Echo>("bench", "Echo.Unary", &Echo::of(100)).await?;
        }
        let known = client.cache().and_then(|cache| cache.peek("bench"));
        Ok((took, known.map_or(0, |known| known.candidates().len())))
    });
    let (took, known) = done.map_err(|e| e.to_string())?;
    if known != NODES {
        return Err(format!("the watch knows {known} nodes of {NODES}"));
    }
    println!("{took} {}", meter::resident(std::process::id()) as f64 / MEBIBYTE);
    until_parent_ends();
    Ok(())
}
