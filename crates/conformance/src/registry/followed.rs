use std::collections::BTreeMap;
use std::sync::Arc;

use micro_core::registry::{Change, Registry, Service, Watch};
use tokio::time::{Instant, sleep, timeout_at};

use super::Stage;
use super::stage::PAUSE;
use crate::Failed;

/// What a watcher knows of a service: the state, and every change since. When its watch ends it asks for a new one.
#[derive(Debug)]
pub(super) struct Followed {
    registry: Arc<dyn Registry>,
    service: String,
    watch: Option<Box<dyn Watch>>,
    /// By id: version and address.
    nodes: BTreeMap<String, (String, String)>,
}

impl Followed {
    pub(super) fn new(registry: Arc<dyn Registry>, service: &str) -> Self {
        Self { registry, service: service.to_owned(), watch: None, nodes: BTreeMap::new() }
    }

    /// Hears of changes until it knows these records and no others.
    pub(super) async fn knows(&mut self, stage: &Stage, expected: &[Service]) -> Result<(), Failed> {
        let wanted = nodes(expected);
        let until = Instant::now() + stage.limits().present;
        while self.nodes != wanted {
            let Ok(heard) = timeout_at(until, self.hear()).await else {
                return Err(Failed::new(format!("by what its watch told it knows {:?}, not {wanted:?}", self.nodes)));
            };
            heard?;
        }
        Ok(())
    }

    /// Hears of the next change, or asks for a new watch. Cancel-safe.
    async fn hear(&mut self) -> Result<(), Failed> {
        let Some(watch) = &mut self.watch else {
            let begun = async {
                let mut watch = self.registry.watch(Some(&self.service)).await?;
                let first = watch.next().await?;
                Ok::<_, micro_core::Error>((watch, first))
            };
            match begun.await {
                Ok((watch, Change::State(services))) => {
                    self.nodes = nodes(&services);
                    self.watch = Some(watch);
                }
                Ok((_, other)) => return Err(Failed::new(format!("a new watch begins with {other:?}"))),
                Err(_) => sleep(PAUSE).await,
            }
            return Ok(());
        };
        match watch.next().await {
            Ok(Change::State(services)) => self.nodes = nodes(&services),
            Ok(Change::Create(service) | Change::Update(service)) => self.nodes.extend(nodes(&[service])),
            Ok(Change::Delete(service)) => {
                let gone = |id: &String, version: &String| {
                    service.version == *version && service.nodes.iter().any(|node| node.id == *id)
                };
                self.nodes.retain(|id, (version, _)| !gone(id, version));
            }
            Ok(other) => return Err(Failed::new(format!("this suite does not know the change {other:?}"))),
            Err(_) => self.watch = None,
        }
        Ok(())
    }
}

fn nodes(services: &[Service]) -> BTreeMap<String, (String, String)> {
    let nodes = services.iter().flat_map(|service| service.nodes.iter().map(move |node| (service, node)));
    nodes.map(|(service, node)| (node.id.clone(), (service.version.clone(), node.address.clone()))).collect()
}
