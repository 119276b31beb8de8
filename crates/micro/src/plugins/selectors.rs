//! The strategies of choosing a node.

use std::sync::Arc;

use micro_core::Result;
use micro_core::selector::{P2c, Random, RoundRobin, Selector};

use super::unknown::Known;

const KNOWN: Known = Known {
    kind: "selector",
    here: &["p2c", "random", "roundrobin"],
    by_feature: &[],
    go_micro: &["dns", "router", "static", "registry"],
};

/// Makes the selector of a name.
pub(crate) fn selector(name: &str) -> Result<Arc<dyn Selector>> {
    match name {
        "p2c" => Ok(Arc::new(P2c::default())),
        "random" => Ok(Arc::new(Random)),
        "roundrobin" => Ok(Arc::new(RoundRobin::default())),
        other => Err(KNOWN.unknown(other)),
    }
}
