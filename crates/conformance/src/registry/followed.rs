use std::collections::BTreeMap;
use std::sync::Arc;

use micro_core::registry::{Change, Registry, Service, Watch};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use super::Stage;
use super::stage::PAUSE;
use crate::Failed;

/// By id: version and address.
pub(super) type Nodes = BTreeMap<String, (String, String)>;

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
}

impl Followed {
    pub(super) fn new(registry: Arc<dyn Registry>, service: &str) -> Self {
        let service = service.to_owned();
        Self { registry, service: Some(service.clone()), prefix: service, watch: None, nodes: watch::Sender::default() }
    }

    /// Follows all services whose names begin so.
    pub(super) fn everything(registry: Arc<dyn Registry>, prefix: String) -> Self {
        Self { registry, service: None, prefix, watch: None, nodes: watch::Sender::default() }
    }

    /// What it knows, now and as it changes.
    pub(super) fn nodes(&self) -> watch::Receiver<Nodes> {
        self.nodes.subscribe()
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
                    self.nodes.send_replace(self.known(&services));
                    self.watch = Some(watch);
                }
                Ok((_, other)) => return Err(Failed::new(format!("a new watch begins with {other:?}"))),
                Err(_) => sleep(PAUSE).await,
            }
            return Ok(());
        };
        match watch.next().await {
            Ok(Change::State(services)) => drop(self.nodes.send_replace(self.known(&services))),
            Ok(Change::Create(service) | Change::Update(service)) => {
                let changed = self.known(&[service]);
                self.nodes.send_modify(|nodes| nodes.extend(changed));
            }
            Ok(Change::Delete(service)) => {
                let gone = |id: &String, version: &String| {
                    service.version == *version && service.nodes.iter().any(|node| node.id == *id)
                };
                self.nodes.send_modify(|nodes| nodes.retain(|id, (version, _)| !gone(id, version)));
            }
            Ok(other) => return Err(Failed::new(format!("this suite does not know the change {other:?}"))),
            Err(_) => self.watch = None,
        }
        Ok(())
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
