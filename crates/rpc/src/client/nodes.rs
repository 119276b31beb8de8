//! Which nodes a call may go to.

use std::fmt;
use std::sync::Arc;

use micro_core::registry::Cache;
use micro_core::selector::{Candidate, Filter};
use micro_core::{Error, Kind, Result};

use crate::wire::status::CLIENT;

pub(super) struct Nodes {
    cache: Option<Arc<Cache>>,
}

impl Nodes {
    pub(super) fn new(cache: Option<Arc<Cache>>) -> Self {
        Self { cache }
    }

    pub(super) fn cache(&self) -> Option<&Cache> {
        self.cache.as_deref()
    }

    /// Returns the nodes of a service; at least one.
    pub(super) async fn of(&self, service: &str) -> Result<Arc<[Arc<Candidate>]>> {
        let Some(cache) = &self.cache else {
            let text = format!(
                "service {service} cannot be looked up: the client has no registry; give it one, or the call an address"
            );
            return Err(Error::new(Kind::NoNode, text).id(CLIENT));
        };
        let known = cache.get(service).await?;
        if known.candidates().is_empty() {
            let registry = cache.registry();
            let text = format!(
                "service {service} is not registered in {} at {}; start it, and see that it uses the same registry",
                registry.name(),
                registry.address()
            );
            return Err(Error::new(Kind::NoNode, text).id(CLIENT));
        }
        Ok(known.candidates().clone())
    }
}

/// Keeps the nodes that pass every filter.
pub(super) fn filter(service: &str, nodes: &[Arc<Candidate>], filters: &[Filter]) -> Result<Vec<Arc<Candidate>>> {
    let kept: Vec<_> = nodes.iter().filter(|node| filters.iter().all(|filter| filter.keeps(node))).cloned().collect();
    if kept.is_empty() {
        let names: Vec<_> = filters.iter().map(ToString::to_string).collect();
        let text = format!(
            "none of the {} nodes of service {service} passes the filter {}; start such a node, or loosen the filter",
            nodes.len(),
            names.join(", ")
        );
        return Err(Error::new(Kind::NoNode, text).id(CLIENT));
    }
    Ok(kept)
}

impl fmt::Debug for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cache {
            Some(cache) => cache.fmt(f),
            None => f.write_str("none"),
        }
    }
}
