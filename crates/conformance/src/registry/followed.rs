use std::collections::BTreeMap;
use std::sync::Arc;

use micro_core::registry::{Change, Registry, Service, Watch};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use super::Stage;
use super::stage::PAUSE;
use crate::Failed;

/// The version and the address of a node.
pub(super) type Seen = (String, String);

/// What is known of each node, by its id.
pub(super) type Nodes = BTreeMap<String, Seen>;

/// What a watcher knows of a service: the state, and every change since. When its watch ends it asks for a new one.
#[derive(Debug)]
pub(super) struct Followed {
    registry: Arc<dyn Registry>,
    /// `None` for all services.
    service: Option<String>,
    /// What the names of services begin with that are looked at.
    prefix: String,
    watch: Option<Box<dyn Watch>>,
    nodes: watch::Sender<Nodes>,
    /// What is told of single nodes: hundreds may wait, each for its own.
    single: BTreeMap<String, watch::Sender<Option<Seen>>>,
}

impl Followed {
    pub(super) fn new(registry: Arc<dyn Registry>, service: &str) -> Self {
        let service = service.to_owned();
        Self {
            registry,
            service: Some(service.clone()),
            prefix: service,
            watch: None,
            nodes: watch::Sender::default(),
            single: BTreeMap::new(),
        }
    }

    /// Follows all services whose names begin so.
    pub(super) fn everything(registry: Arc<dyn Registry>, prefix: String) -> Self {
        Self { registry, service: None, prefix, watch: None, nodes: watch::Sender::default(), single: BTreeMap::new() }
    }

    /// What it knows, now and as it changes.
    pub(super) fn nodes(&self) -> watch::Receiver<Nodes> {
        self.nodes.subscribe()
    }

    /// What it knows of one node, now and as it changes.
    pub(super) fn node(&mut self, id: &str) -> watch::Receiver<Option<Seen>> {
        self.single.entry(id.to_owned()).or_default().subscribe()
    }

    /// Hears of changes until it knows these records and no others.
    pub(super) async fn knows(&mut self, stage: &Stage, expected: &[Service]) -> Result<(), Failed> {
        let wanted = nodes(expected);
        let until = Instant::now() + stage.limits().present;
        while *self.nodes.borrow() != wanted {
            let Ok(heard) = timeout_at(until, self.hear()).await else {
                return Err(Failed::new(format!(
                    "by what its watch told it knows {:?}, not {wanted:?}",
                    self.nodes.borrow()
                )));
            };
            heard?;
        }
        Ok(())
    }

    /// Hears of the next change, or asks for a new watch. Cancel-safe.
    pub(super) async fn hear(&mut self) -> Result<(), Failed> {
        let Some(watch) = &mut self.watch else {
            let begun = async {
                let mut watch = self.registry.watch(self.service.as_deref()).await?;
                let first = watch.next().await?;
                Ok::<_, micro_core::Error>((watch, first))
            };
            match begun.await {
                Ok((watch, Change::State(services))) => {
                    self.begin(&services);
                    self.watch = Some(watch);
                }
                Ok((_, other)) => return Err(Failed::new(format!("a new watch begins with {other:?}"))),
                Err(_) => sleep(PAUSE).await,
            }
            return Ok(());
        };
        match watch.next().await {
            Ok(Change::State(services)) => self.begin(&services),
            Ok(Change::Create(service) | Change::Update(service)) => {
                for (id, seen) in self.known(&[service]) {
                    self.tell(&id, Some(&seen));
                    self.nodes.send_modify(|nodes| drop(nodes.insert(id, seen)));
                }
            }
            Ok(Change::Delete(service)) => {
                for node in service.nodes {
                    let is_meant = |nodes: &Nodes| nodes.get(&node.id).is_some_and(|seen| seen.0 == service.version);
                    if is_meant(&self.nodes.borrow()) {
                        self.tell(&node.id, None);
                        self.nodes.send_modify(|nodes| drop(nodes.remove(&node.id)));
                    }
                }
            }
            Ok(other) => return Err(Failed::new(format!("this suite does not know the change {other:?}"))),
            Err(_) => self.watch = None,
        }
        Ok(())
    }

    fn begin(&self, services: &[Service]) {
        let nodes = self.known(services);
        for id in self.single.keys() {
            self.tell(id, nodes.get(id));
        }
        self.nodes.send_replace(nodes);
    }

    fn tell(&self, id: &str, seen: Option<&Seen>) {
        if let Some(single) = self.single.get(id) {
            single.send_replace(seen.cloned());
        }
    }

    /// The nodes of these services that are looked at.
    fn known(&self, services: &[Service]) -> Nodes {
        let looked_at = services.iter().filter(|service| service.name.starts_with(&self.prefix));
        nodes(looked_at)
    }
}

/// The nodes of these services.
pub(super) fn nodes<'a>(services: impl IntoIterator<Item = &'a Service>) -> Nodes {
    let nodes = services.into_iter().flat_map(|service| service.nodes.iter().map(move |node| (service, node)));
    nodes.map(|(service, node)| (node.id.clone(), (service.version.clone(), node.address.clone()))).collect()
}
