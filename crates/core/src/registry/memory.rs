use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Change, Node, Registry, Service, Watch};
use crate::{Error, Kind, Result};

/// How many changes a watcher may be behind before it gets the full state anew.
const BEHIND: usize = 1_024;

/// The registry that lives in this process. Clones share their records, and a node stays for its time to live whoever of
/// them is dropped.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use micro_core::registry::{Memory, Node, Registry, Service};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let registry = Memory::new();
/// let greeter = Service::new("greeter", "latest").node(Node::new("greeter-1", "127.0.0.1:37903"));
/// registry.register(&greeter, Duration::from_secs(60)).await?;
/// assert_eq!(registry.get("greeter").await?, [greeter]);
/// # Ok::<(), micro_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Default)]
pub struct Memory(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// By name, then version.
    services: BTreeMap<String, BTreeMap<String, Record>>,
    watchers: BTreeMap<u64, Watcher>,
    next_watcher: u64,
}

struct Record {
    /// The record without its nodes.
    service: Service,
    /// By id; with the end of the time to live, if it has one.
    nodes: BTreeMap<String, (Node, Option<Instant>)>,
}

struct Watcher {
    service: Option<String>,
    changes: VecDeque<Change>,
    /// The next thing it hears is the full state.
    anew: bool,
    notify: Arc<Notify>,
}

impl Memory {
    /// Creates an empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.prune(Instant::now());
        state
    }
}

impl Record {
    fn full(&self) -> Service {
        let mut service = self.service.clone();
        service.nodes = self.nodes.values().map(|(node, _)| node.clone()).collect();
        service
    }

    fn some(&self, nodes: Vec<Node>) -> Service {
        let mut service = self.service.clone();
        service.nodes = nodes;
        service
    }
}

impl State {
    fn tell(&mut self, change: &Change) {
        let (Change::Create(service) | Change::Update(service) | Change::Delete(service)) = change else { return };
        if service.nodes.is_empty() {
            return;
        }
        for watcher in self.watchers.values_mut() {
            if watcher.anew || watcher.service.as_ref().is_some_and(|name| *name != service.name) {
                continue;
            }
            if watcher.changes.len() >= BEHIND {
                watcher.changes.clear();
                watcher.anew = true;
            } else {
                watcher.changes.push_back(change.clone());
            }
            watcher.notify.notify_one();
        }
    }

    fn register(&mut self, service: &Service, expires: Option<Instant>) {
        self.move_here(service);
        let record = self
            .services
            .entry(service.name.clone())
            .or_default()
            .entry(service.version.clone())
            .or_insert_with(|| Record { service: service.with_no_nodes(), nodes: BTreeMap::new() });
        let described = service.with_no_nodes();
        let mut changed = Vec::new();
        let mut created = Vec::new();
        if record.service != described {
            record.service = described;
            let others = record.nodes.values().map(|(node, _)| node);
            changed.extend(others.filter(|node| service.nodes.iter().all(|new| new.id != node.id)).cloned());
            changed.extend(service.nodes.iter().filter(|new| record.nodes.contains_key(&new.id)).cloned());
        }
        for node in &service.nodes {
            match record.nodes.insert(node.id.clone(), (node.clone(), expires)) {
                None => created.push(node.clone()),
                Some((old, _)) if old != *node && !changed.iter().any(|other| other.id == node.id) => {
                    changed.push(node.clone());
                }
                Some(_) => {}
            }
        }
        let (created, changed) = (record.some(created), record.some(changed));
        self.tell(&Change::Create(created));
        self.tell(&Change::Update(changed));
    }

    /// Takes nodes that now come with this version out of the others.
    fn move_here(&mut self, service: &Service) {
        let others = self.services.get(&service.name).into_iter().flat_map(BTreeMap::values);
        let gone: Vec<Service> = others
            .filter(|record| record.service.version != service.version)
            .map(|record| record.some(service.nodes.clone()))
            .collect();
        for service in gone {
            self.deregister(&service);
        }
    }

    fn deregister(&mut self, service: &Service) {
        let Some(versions) = self.services.get_mut(&service.name) else { return };
        let Some(record) = versions.get_mut(&service.version) else { return };
        let gone =
            service.nodes.iter().filter_map(|node| record.nodes.remove(&node.id)).map(|(node, _)| node).collect();
        let gone = record.some(gone);
        if record.nodes.is_empty() {
            versions.remove(&service.version);
        }
        if versions.is_empty() {
            self.services.remove(&service.name);
        }
        self.tell(&Change::Delete(gone));
    }

    fn prune(&mut self, now: Instant) {
        let over = |expires: &Option<Instant>| expires.is_some_and(|at| at <= now);
        let gone: Vec<Service> = self
            .services
            .values()
            .flat_map(BTreeMap::values)
            .filter(|record| record.nodes.values().any(|(_, expires)| over(expires)))
            .map(|record| {
                let nodes = record.nodes.values().filter(|(_, expires)| over(expires));
                record.some(nodes.map(|(node, _)| node.clone()).collect())
            })
            .collect();
        for service in gone {
            self.deregister(&service);
        }
    }

    fn next_expiry(&self) -> Option<Instant> {
        let records = self.services.values().flat_map(BTreeMap::values);
        records.flat_map(|record| record.nodes.values()).filter_map(|(_, expires)| *expires).min()
    }

    fn all(&self, service: Option<&str>) -> Vec<Service> {
        let versions = self.services.iter().filter(|(name, _)| service.is_none_or(|service| service == *name));
        versions.flat_map(|(_, versions)| versions.values()).map(Record::full).collect()
    }
}

#[async_trait]
impl Registry for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn address(&self) -> String {
        "memory://".to_owned()
    }

    async fn register(&self, service: &Service, ttl: Duration) -> Result<()> {
        service.check_registration(ttl).map_err(|error| error.operation("registry.register"))?;
        // One that no clock can hold: until it is taken away.
        let expires = Instant::now().checked_add(ttl);
        self.lock().register(service, expires);
        Ok(())
    }

    async fn deregister(&self, service: &Service) -> Result<()> {
        self.lock().deregister(service);
        Ok(())
    }

    async fn get(&self, service: &str) -> Result<Vec<Service>> {
        Ok(self.lock().all(Some(service)))
    }

    async fn list(&self) -> Result<Vec<String>> {
        Ok(self.lock().services.keys().cloned().collect())
    }

    async fn watch(&self, service: Option<&str>) -> Result<Box<dyn Watch>> {
        let notify = Arc::new(Notify::new());
        let mut state = self.lock();
        let id = state.next_watcher;
        state.next_watcher += 1;
        let service = service.map(str::to_owned);
        let watcher = Watcher { service, changes: VecDeque::new(), anew: true, notify: Arc::clone(&notify) };
        state.watchers.insert(id, watcher);
        Ok(Box::new(MemoryWatch { registry: self.clone(), id, notify }))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("services", &self.lock().services.keys().collect::<Vec<_>>()).finish()
    }
}

/// A watcher's side; taken off the list when it is dropped.
#[derive(Debug)]
struct MemoryWatch {
    registry: Memory,
    id: u64,
    notify: Arc<Notify>,
}

#[async_trait]
impl Watch for MemoryWatch {
    async fn next(&mut self) -> Result<Change> {
        loop {
            let expiry = {
                let mut state = self.registry.lock();
                let all = |state: &State, watcher: &Watcher| state.all(watcher.service.as_deref());
                let Some(watcher) = state.watchers.get(&self.id) else {
                    return Err(Error::new(Kind::Closed, "the watch of the memory registry ended; begin a new one"));
                };
                if watcher.anew {
                    let services = all(&state, watcher);
                    if let Some(watcher) = state.watchers.get_mut(&self.id) {
                        watcher.anew = false;
                    }
                    return Ok(Change::State(services));
                }
                if let Some(change) = state.watchers.get_mut(&self.id).and_then(|watcher| watcher.changes.pop_front()) {
                    return Ok(change);
                }
                state.next_expiry()
            };
            match expiry {
                None => self.notify.notified().await,
                // Whoever watches sees to it that what is over goes.
                Some(at) => tokio::select! {
                    () = self.notify.notified() => {}
                    () = tokio::time::sleep_until(at) => {}
                },
            }
        }
    }
}

impl Drop for MemoryWatch {
    fn drop(&mut self) {
        self.registry.lock().watchers.remove(&self.id);
    }
}
