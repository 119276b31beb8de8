use std::collections::BTreeMap;
use std::time::Duration;

use micro_core::registry::{Change, Service};
use tokio::time::Instant;

/// How many nodes of others are kept at most.
const MAX_NODES: usize = 4_096;

/// How many questions a node may leave unanswered before it counts as gone.
const MAX_MISSED: u32 = 3;

/// How long an answer may be on its way, to be heard after a farewell that was sent behind it. Less than the second after
/// which whoever registers says so again.
const ON_THE_WAY: Duration = Duration::from_millis(500);

/// The longest time to live that is believed.
const MAX_TTL: Duration = Duration::from_secs(3_600);

/// The nodes that others told of.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    /// By service and instance name.
    seen: BTreeMap<String, BTreeMap<String, Seen>>,
    count: usize,
    /// When instances said farewell, for a little while.
    farewells: BTreeMap<String, Instant>,
}

#[derive(Debug)]
struct Seen {
    /// The record with this node only.
    service: Service,
    heard: Instant,
    expires: Instant,
    missed: u32,
}

impl Nodes {
    /// Takes what was heard of a node and returns what changed by it.
    pub(crate) fn heard(&mut self, instance: &str, service: Service, ttl: u32, now: Instant) -> Vec<Change> {
        if ttl == 0 {
            self.farewells.retain(|_, at| now.duration_since(*at) < ON_THE_WAY);
            if self.farewells.len() < MAX_NODES {
                self.farewells.insert(instance.to_owned(), now);
            }
            let removed = self.remove(&service.name, instance);
            return removed.map(Change::Delete).into_iter().collect();
        }
        let known = self.seen.get(&service.name).and_then(|nodes| nodes.get(instance)).map(|seen| &seen.service);
        let changes = match known {
            Some(known) if *known == service => Vec::new(),
            Some(known) if known.version == service.version => vec![Change::Update(service.clone())],
            Some(known) => vec![Change::Delete(known.clone()), Change::Create(service.clone())],
            None if self.count >= MAX_NODES => {
                tracing::warn!(service = %service.name, limit = MAX_NODES, "too many nodes on the network; a new one is passed over");
                return Vec::new();
            }
            None => {
                self.count += 1;
                vec![Change::Create(service.clone())]
            }
        };
        let expires = now + Duration::from_secs(u64::from(ttl)).min(MAX_TTL);
        let seen = Seen { service, heard: now, expires, missed: 0 };
        self.seen.entry(seen.service.name.clone()).or_default().insert(instance.to_owned(), seen);
        changes
    }

    /// Returns when an instance said farewell, if that was just now: what was sent before that may come after it, since
    /// answers come another way.
    pub(crate) fn left(&self, instance: &str, now: Instant) -> Option<Instant> {
        self.farewells.get(instance).copied().filter(|at| now.duration_since(*at) < ON_THE_WAY)
    }

    fn remove(&mut self, service: &str, instance: &str) -> Option<Service> {
        let nodes = self.seen.get_mut(service)?;
        let gone = nodes.remove(instance)?;
        self.count -= 1;
        if nodes.is_empty() {
            self.seen.remove(service);
        }
        Some(gone.service)
    }

    fn remove_all(&mut self, gone: Vec<(String, String)>) -> Vec<Change> {
        gone.into_iter()
            .filter_map(|(service, instance)| self.remove(&service, &instance))
            .map(Change::Delete)
            .collect()
    }

    /// Counts who did not answer a question asked at a time, and returns who is gone by that.
    pub(crate) fn missed(&mut self, service: &str, asked: Instant) -> Vec<Change> {
        let mut gone = Vec::new();
        for (instance, seen) in self.seen.get_mut(service).into_iter().flatten() {
            seen.missed = if seen.heard < asked { seen.missed + 1 } else { 0 };
            if seen.missed >= MAX_MISSED {
                gone.push((service.to_owned(), instance.clone()));
            }
        }
        self.remove_all(gone)
    }

    /// Takes away the nodes whose time to live is over.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<Change> {
        let all = self.seen.iter().flat_map(|(service, nodes)| nodes.iter().map(move |node| (service, node)));
        let over = all.filter(|(_, (_, seen))| seen.expires <= now);
        let gone = over.map(|(service, (instance, _))| (service.clone(), instance.clone())).collect();
        self.remove_all(gone)
    }

    /// Forgets a service nobody asks for, without a word.
    pub(crate) fn forget(&mut self, service: &str) {
        self.count -= self.seen.remove(service).map_or(0, |nodes| nodes.len());
    }

    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.seen.values().flat_map(BTreeMap::values).map(|seen| seen.expires).min()
    }

    pub(crate) fn records(&self, service: Option<&str>) -> impl Iterator<Item = &Service> {
        let services = self.seen.iter().filter(move |(name, _)| service.is_none_or(|service| service == *name));
        services.flat_map(|(_, nodes)| nodes.values()).map(|seen| &seen.service)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.seen.keys()
    }
}
