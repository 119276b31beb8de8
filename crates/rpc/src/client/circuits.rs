//! The circuit breakers of an endpoint, one a node.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::resilience::{Breaker, Circuit};

/// From how many nodes on those whose circuit is closed are forgotten: nodes that left are among them.
const MANY: usize = 4_096;

#[derive(Default)]
pub(super) struct Circuits(RwLock<HashMap<Box<str>, Arc<Circuit>>>);

impl Circuits {
    /// Tells whether a call to this node would be let through now. One that nobody called yet is.
    pub(super) fn lets_through(&self, node: &str) -> bool {
        self.closed_for(node).is_none()
    }

    /// Returns for how long a node is not called.
    pub(super) fn closed_for(&self, node: &str) -> Option<Duration> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(node).and_then(|circuit| circuit.closed_for())
    }

    /// Returns the circuit of a node.
    pub(super) fn of(&self, node: &str, breaker: Breaker) -> Arc<Circuit> {
        if let Some(circuit) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(node) {
            return Arc::clone(circuit);
        }
        let mut circuits = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if circuits.len() >= MANY {
            circuits.retain(|_, circuit| !circuit.lets_through());
        }
        Arc::clone(circuits.entry(node.into()).or_insert_with(|| Arc::new(Circuit::new(breaker))))
    }
}
