use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{join_all, select_all};
use tokio::time::Instant;

use super::{Change, Listing, Registry, Service, Watch};
use crate::{Error, Kind, Result};

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long the first state waits for the registries beside the primary.
const FIRST_STATE: Duration = Duration::from_secs(1);

/// For how long what another says of a node that the primary took away is taken for late news.
const LATE: Duration = Duration::from_secs(10);

/// Several registries as one: a node is registered in all, and found in any.
///
/// The first is the primary: its failure is an error, its answer is enough, and a node it took away is gone even while
/// another still lists it. The failure of another is logged once and mended in the background.
#[derive(Clone)]
pub struct Multi {
    parts: Arc<[Part]>,
}

struct Part {
    registry: Arc<dyn Registry>,
    failing: AtomicBool,
}

impl Multi {
    /// Puts registries together, the primary first. Does no I/O.
    #[must_use]
    pub fn new(registries: Vec<Arc<dyn Registry>>) -> Self {
        Self {
            parts: registries.into_iter().map(|registry| Part { registry, failing: AtomicBool::new(false) }).collect(),
        }
    }

    /// Returns the registries, the primary first.
    pub fn registries(&self) -> impl Iterator<Item = &Arc<dyn Registry>> {
        self.parts.iter().map(|part| &part.registry)
    }

    fn primary(&self) -> Result<&Part> {
        self.parts.first().ok_or_else(|| Error::new(Kind::Config, "no registry was given; name one with --registry"))
    }

    fn others(&self) -> &[Part] {
        self.parts.get(1..).unwrap_or_default()
    }
}

impl Part {
    /// Logs the first of a row of failures, and takes the answer if there is one.
    fn note<T>(&self, answer: Result<T>) -> Option<T> {
        match answer {
            Ok(answer) => {
                self.failing.store(false, Ordering::Relaxed);
                Some(answer)
            }
            Err(error) => {
                if !self.failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(registry = self.registry.name(), %error, "going on without this registry");
                }
                None
            }
        }
    }
}

#[async_trait]
impl Registry for Multi {
    /// Returns the primary's name.
    fn name(&self) -> &'static str {
        self.parts.first().map_or("none", |part| part.registry.name())
    }

    fn address(&self) -> String {
        let mut text = self.parts.first().map_or_else(String::new, |part| part.registry.address());
        for part in self.others() {
            text.push_str(&format!(" and {} {}", part.registry.name(), part.registry.address()));
        }
        text
    }

    async fn register(&self, service: &Service, ttl: Duration) -> Result<()> {
        let primary = self.primary()?;
        // What none may take is nobody's failure.
        service.check_registration(ttl).map_err(|error| error.operation("registry.register"))?;
        let others = join_all(self.others().iter().map(|part| part.registry.register(service, ttl)));
        let (answer, answers) = futures_util::join!(primary.registry.register(service, ttl), others);
        for (part, answer) in self.others().iter().zip(answers) {
            part.note(answer);
        }
        answer
    }

    async fn deregister(&self, service: &Service) -> Result<()> {
        let primary = self.primary()?;
        let others = join_all(self.others().iter().map(|part| part.registry.deregister(service)));
        let (answer, answers) = futures_util::join!(primary.registry.deregister(service), others);
        for (part, answer) in self.others().iter().zip(answers) {
            part.note(answer);
        }
        answer
    }

    async fn get(&self, service: &str) -> Result<Vec<Service>> {
        let first = self.primary()?.registry.get(service).await;
        if first.as_ref().is_ok_and(|services| services.iter().any(|service| !service.nodes.is_empty())) {
            return first;
        }
        let answers = join_all(self.others().iter().map(|part| part.registry.get(service))).await;
        let answers: Vec<_> =
            self.others().iter().zip(answers).filter_map(|(part, answer)| part.note(answer)).collect();
        let mut merged = match first {
            Ok(services) => services,
            // What another knows is better than an error.
            Err(_) if answers.iter().any(|services| !services.is_empty()) => Vec::new(),
            Err(error) => return Err(error),
        };
        for services in answers {
            merge(&mut merged, services);
        }
        Ok(merged)
    }

    async fn list(&self) -> Result<Vec<String>> {
        let primary = self.primary()?;
        let others = join_all(self.others().iter().map(|part| part.registry.list()));
        let (names, answers) = futures_util::join!(primary.registry.list(), others);
        let mut names: BTreeSet<String> = names?.into_iter().collect();
        for (part, answer) in self.others().iter().zip(answers) {
            names.extend(part.note(answer).into_iter().flatten());
        }
        Ok(names.into_iter().collect())
    }

    async fn watch(&self, service: Option<&str>) -> Result<Box<dyn Watch>> {
        let first = self.primary()?.registry.watch(service).await?;
        let mut sources = vec![Source::new(Some(first))];
        sources.extend(self.others().iter().map(|_| Source::new(None)));
        Ok(Box::new(MultiWatch {
            registry: self.clone(),
            service: service.map(str::to_owned),
            sources,
            taken_away: BTreeMap::new(),
            forgot: Instant::now(),
            told: Listing::new(),
            changes: VecDeque::new(),
            first_state: Some(Instant::now() + FIRST_STATE),
        }))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl fmt::Debug for Multi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.registries()).finish()
    }
}

/// A service and the id of one of its nodes.
type Key = (String, String);

/// One registry's watch and what it lists, a record with one node each.
#[derive(Debug)]
struct Source {
    watch: Option<Box<dyn Watch>>,
    listed: BTreeMap<Key, Service>,
    /// It answered, or failed.
    heard: bool,
    pause: Duration,
    again: Instant,
}

#[derive(Debug)]
struct MultiWatch {
    registry: Multi,
    service: Option<String>,
    sources: Vec<Source>,
    /// Nodes that the primary took away, and when: another still lists them, or may tell late that they came.
    taken_away: BTreeMap<Key, Instant>,
    /// When those of no use any more were forgotten.
    forgot: Instant,
    /// What the watcher was told, so that it hears of a change once though all registries tell it.
    told: Listing,
    /// What it is to hear next.
    changes: VecDeque<Change>,
    /// Until when the first state waits for the others, so that it does not leave out what they list.
    first_state: Option<Instant>,
}

impl Source {
    fn new(watch: Option<Box<dyn Watch>>) -> Self {
        Self { watch, listed: BTreeMap::new(), heard: false, pause: FIRST_PAUSE, again: Instant::now() }
    }

    /// Waits for what happens next. Cancel-safe.
    async fn next(&mut self, registry: &dyn Registry, service: Option<&str>) -> Result<Change> {
        if self.watch.is_none() {
            tokio::time::sleep_until(self.again).await;
            // Set before the attempt, so that a cancelled one is not repeated at once.
            self.again = Instant::now() + self.pause;
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            self.watch = Some(registry.watch(service).await?);
        }
        let Some(watch) = &mut self.watch else {
            return Err(Error::new(Kind::Internal, "a watch that was just begun is not there"));
        };
        let change = watch.next().await;
        match &change {
            Ok(_) => self.pause = FIRST_PAUSE,
            Err(_) => self.watch = None,
        }
        change
    }

    /// Takes a change, and returns the nodes that it is about.
    fn apply(&mut self, change: Change) -> BTreeSet<Key> {
        let mut touched = BTreeSet::new();
        match change {
            Change::State(services) => {
                let listed: BTreeMap<_, _> = services.into_iter().flat_map(one_by_one).collect();
                touched.extend(listed.keys().chain(self.listed.keys()).cloned());
                self.listed = listed;
            }
            Change::Create(service) | Change::Update(service) => {
                for (key, record) in one_by_one(service) {
                    touched.insert(key.clone());
                    self.listed.insert(key, record);
                }
            }
            Change::Delete(service) => {
                for (key, record) in one_by_one(service) {
                    // It may live on in another version.
                    if self.listed.get(&key).is_some_and(|listed| listed.version == record.version) {
                        self.listed.remove(&key);
                    }
                    touched.insert(key);
                }
            }
        }
        touched
    }
}

impl MultiWatch {
    /// Takes a change at one source, and notes what the watcher should hear of it.
    fn take(&mut self, from: usize, change: Change) {
        let is_state = matches!(change, Change::State(_));
        let before: BTreeSet<Key> = match (from, &change) {
            (0, Change::State(_)) => self.sources[0].listed.keys().cloned().collect(),
            (0, Change::Delete(service)) => one_by_one(service.clone()).map(|(key, _)| key).collect(),
            _ => BTreeSet::new(),
        };
        let before: Vec<Key> = before.into_iter().filter(|key| self.sources[0].listed.contains_key(key)).collect();
        let touched = self.sources[from].apply(change);
        let now = Instant::now();
        for key in before.into_iter().filter(|key| !self.sources[0].listed.contains_key(key)) {
            self.taken_away.insert(key, now);
        }
        if from == 0 {
            for key in touched.iter().filter(|key| self.sources[0].listed.contains_key(*key)) {
                self.taken_away.remove(key);
            }
        }
        if self.forgot + LATE <= now {
            self.forgot = now;
            let others = &self.sources[1..];
            self.taken_away.retain(|key, since| {
                *since + LATE > now || others.iter().any(|source| source.listed.contains_key(key))
            });
        }
        let mut changes = Vec::new();
        for key in touched {
            let place = format!("{}\0{}", key.0, key.1);
            // The primary has the say, then whoever comes first.
            let counts = self.sources.iter().find_map(|source| source.listed.get(&key));
            match counts.filter(|_| !self.taken_away.contains_key(&key)) {
                Some(record) => changes.extend(self.told.put(place, record.clone())),
                None => changes.extend(self.told.remove(&place)),
            }
        }
        if is_state && !changes.is_empty() {
            changes = vec![Change::State(self.told.services())];
        }
        self.changes.extend(changes);
    }
}

/// Returns a record of its own for each node.
fn one_by_one(service: Service) -> impl Iterator<Item = (Key, Service)> {
    let alone = service.with_no_nodes();
    service.nodes.into_iter().map(move |node| ((alone.name.clone(), node.id.clone()), alone.with_only(node)))
}

#[async_trait]
impl Watch for MultiWatch {
    async fn next(&mut self) -> Result<Change> {
        loop {
            if let Some(until) = self.first_state {
                let over = until <= Instant::now();
                if self.sources[0].heard && (over || self.sources.iter().all(|source| source.heard)) {
                    self.first_state = None;
                    self.changes.clear();
                    return Ok(Change::State(self.told.services()));
                }
            } else if let Some(change) = self.changes.pop_front() {
                return Ok(change);
            }
            let primary_heard = self.sources[0].heard;
            let service = self.service.as_deref();
            let parts = &self.registry.parts;
            let waiting = self.sources.iter_mut().zip(parts.iter());
            let next = select_all(waiting.map(|(source, part)| Box::pin(source.next(&*part.registry, service))));
            let (change, from) = match self.first_state.filter(|_| primary_heard) {
                None => {
                    let (change, from, _) = next.await;
                    (change, from)
                }
                Some(until) => tokio::select! {
                    (change, from, _) = next => (change, from),
                    () = tokio::time::sleep_until(until) => continue,
                },
            };
            self.sources[from].heard = true;
            let change = match from {
                0 => change?,
                _ => match parts[from].note(change) {
                    Some(change) => change,
                    None => continue,
                },
            };
            self.take(from, change);
        }
    }
}

/// Adds the nodes that are not there yet, by name and id.
fn merge(into: &mut Vec<Service>, services: Vec<Service>) {
    for mut service in services {
        let name = service.name.clone();
        service.nodes.retain(|node| {
            !into.iter().any(|known| known.name == name && known.nodes.iter().any(|other| other.id == node.id))
        });
        match into.iter_mut().find(|known| known.name == service.name && known.version == service.version) {
            Some(known) => known.nodes.extend(service.nodes),
            None if service.nodes.is_empty() => {}
            None => into.push(service),
        }
    }
}
