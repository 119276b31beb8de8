use std::any::Any;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{join_all, select_all};
use tokio::time::Instant;

use super::{Change, Registry, Service, Watch};
use crate::{Error, Kind, Result};

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long the first state waits for the registries beside the primary.
const FIRST_STATE: Duration = Duration::from_secs(1);

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
            merge(&mut merged, services, &BTreeSet::new());
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
            taken_away: BTreeSet::new(),
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

/// One registry's watch and what it lists.
#[derive(Debug)]
struct Source {
    watch: Option<Box<dyn Watch>>,
    listed: Vec<Service>,
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
    /// Name and id of nodes that the primary took away and another still lists.
    taken_away: BTreeSet<(String, String)>,
    /// Until when the first state waits for the others, so that it does not leave out what they list.
    first_state: Option<Instant>,
}

impl Source {
    fn new(watch: Option<Box<dyn Watch>>) -> Self {
        Self { watch, listed: Vec::new(), heard: false, pause: FIRST_PAUSE, again: Instant::now() }
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

    fn apply(&mut self, change: &Change) {
        match change {
            Change::State(services) => self.listed.clone_from(services),
            Change::Create(service) | Change::Update(service) => {
                remove(&mut self.listed, service, false);
                merge(&mut self.listed, vec![service.clone()], &BTreeSet::new());
            }
            Change::Delete(service) => remove(&mut self.listed, service, true),
        }
    }

    fn lists(&self, name: &str, id: &str) -> bool {
        self.listed.iter().any(|service| service.name == name && service.nodes.iter().any(|node| node.id == id))
    }
}

impl MultiWatch {
    /// Returns what the watcher should hear of a change at one source.
    fn taken(&mut self, from: usize, change: Change) -> Option<Change> {
        let before = std::mem::take(&mut self.sources[from].listed);
        self.sources[from].listed.clone_from(&before);
        self.sources[from].apply(&change);
        if from == 0 {
            for (service, node) in before.iter().flat_map(|s| s.nodes.iter().map(move |node| (s, node))) {
                if !self.sources[0].lists(&service.name, &node.id) {
                    self.taken_away.insert((service.name.clone(), node.id.clone()));
                }
            }
        }
        let sources = &self.sources;
        self.taken_away.retain(|(name, id)| {
            !sources[0].lists(name, id) && sources[1..].iter().any(|source| source.lists(name, id))
        });
        match change {
            Change::State(_) => Some(Change::State(self.merged())),
            Change::Create(service) => self.unless_hidden(from, service, false).map(Change::Create),
            Change::Update(service) => self.unless_hidden(from, service, false).map(Change::Update),
            Change::Delete(service) => self.unless_hidden(from, service, true).map(Change::Delete),
        }
    }

    /// Leaves out the nodes of which another source has the say.
    fn unless_hidden(&self, from: usize, mut service: Service, delete: bool) -> Option<Service> {
        if from > 0 {
            let name = service.name.clone();
            service.nodes.retain(|node| {
                let primary = self.sources[0].lists(&name, &node.id);
                let others = delete && self.sources.iter().any(|source| source.lists(&name, &node.id));
                !primary && !others && !self.taken_away.contains(&(name.clone(), node.id.clone()))
            });
        }
        (!service.nodes.is_empty()).then_some(service)
    }

    fn merged(&self) -> Vec<Service> {
        let mut all = self.sources[0].listed.clone();
        for source in &self.sources[1..] {
            merge(&mut all, source.listed.clone(), &self.taken_away);
        }
        all
    }
}

#[async_trait]
impl Watch for MultiWatch {
    async fn next(&mut self) -> Result<Change> {
        loop {
            if let Some(until) = self.first_state {
                let over = until <= Instant::now();
                if self.sources[0].heard && (over || self.sources.iter().all(|source| source.heard)) {
                    self.first_state = None;
                    return Ok(Change::State(self.merged()));
                }
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
            let told = self.taken(from, change);
            if self.first_state.is_none()
                && let Some(change) = told
            {
                return Ok(change);
            }
        }
    }
}

/// Adds the nodes that are not there yet, by name and id.
fn merge(into: &mut Vec<Service>, services: Vec<Service>, except: &BTreeSet<(String, String)>) {
    for mut service in services {
        let name = service.name.clone();
        service.nodes.retain(|node| {
            !except.contains(&(name.clone(), node.id.clone()))
                && !into.iter().any(|known| known.name == name && known.nodes.iter().any(|other| other.id == node.id))
        });
        match into.iter_mut().find(|known| known.name == service.name && known.version == service.version) {
            Some(known) => known.nodes.extend(service.nodes),
            None if service.nodes.is_empty() => {}
            None => into.push(service),
        }
    }
}

/// Takes nodes out: of the same version only, or of all.
fn remove(from: &mut Vec<Service>, service: &Service, same_version: bool) {
    for known in from.iter_mut() {
        if known.name == service.name && (!same_version || known.version == service.version) {
            known.nodes.retain(|node| service.nodes.iter().all(|gone| gone.id != node.id));
        }
    }
    from.retain(|known| !known.nodes.is_empty());
}
