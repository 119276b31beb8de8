//! Which nodes a call may go to.

use std::fmt;
use std::sync::Arc;

use micro_core::registry::Cache;
use micro_core::selector::{Candidate, Candidates};
use micro_core::{Error, Kind, Result};

use super::plan::Plan;
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
    pub(super) async fn of(&self, service: &str) -> Result<Arc<Candidates>> {
        let Some(cache) = &self.cache else {
            let text = format!(
                "service {service} cannot be looked up: the client has no registry; give it one, or the call an address"
            );
            return Err(Error::new(Kind::NoNode, text).id(CLIENT));
        };
        let known = cache.get(service).await?;
        if known.candidates().is_empty() {
            let (name, address) = (cache.registry().name(), cache.registry().address());
            let text = match known.unusable() {
                [] => format!(
                    "service {service} is not registered in {name} at {address}; start it, and see that it uses the same registry"
                ),
                [wrong, ..] => format!(
                    "no node of service {service} in {name} at {address} has an address that is host:port, one has {wrong:?}; \
                     see what its program advertises"
                ),
            };
            return Err(Error::new(Kind::NoNode, text).id(CLIENT));
        }
        Ok(known.candidates().clone())
    }
}

/// Says why none of a service's nodes can be called.
pub(super) fn none_fit(service: &str, nodes: &[Arc<Candidate>], plan: &Plan) -> Error {
    let passes = |node: &Arc<Candidate>| plan.filters.iter().all(|filter| filter.keeps(node));
    let text = if nodes.iter().any(passes) {
        let name = plan.selector().name();
        format!(
            "the selector {name} found none of the {} nodes of service {service} fit; see its parameters, and the nodes' labels",
            nodes.len()
        )
    } else {
        let names: Vec<_> = plan.filters.iter().map(ToString::to_string).collect();
        format!(
            "none of the {} nodes of service {service} passes the filter {}; start such a node, or loosen the filter",
            nodes.len(),
            names.join(", ")
        )
    };
    Error::new(Kind::NoNode, text).id(CLIENT)
}

impl fmt::Debug for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cache {
            Some(cache) => cache.fmt(f),
            None => f.write_str("none"),
        }
    }
}
