//! What is said to Consul and by it, as JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

/// The body of a registration.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Registration {
    #[serde(rename = "ID")]
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) port: u16,
    pub(crate) tags: Vec<String>,
    pub(crate) meta: BTreeMap<String, String>,
    pub(crate) check: Check,
}

/// The check that fails when its node does not register again in time.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Check {
    #[serde(rename = "TTL")]
    pub(crate) ttl: String,
    #[serde(rename = "DeregisterCriticalServiceAfter")]
    pub(crate) deregister_critical_service_after: String,
    /// So that there is no moment in which it failed.
    #[serde(rename = "Status")]
    pub(crate) status: &'static str,
}

/// A node of a service, as the health endpoints list it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Entry {
    pub(crate) node: AgentNode,
    pub(crate) service: Listed,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) checks: Vec<Status>,
}

impl Entry {
    /// Tells whether a check of it, or of its machine, failed.
    pub(crate) fn is_sick(&self) -> bool {
        self.checks.iter().any(|check| check.status == "critical")
    }
}

/// The machine.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AgentNode {
    pub(crate) node: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) address: String,
}

/// What was registered, by the catalog or by the agent.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Listed {
    #[serde(rename = "ID")]
    pub(crate) id: String,
    pub(crate) service: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) tags: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) address: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) port: u16,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) meta: BTreeMap<String, String>,
}

impl Listed {
    /// Tells whether it is what is registered.
    pub(crate) fn is(&self, wanted: &Registration) -> bool {
        self.service == wanted.name
            && self.tags == wanted.tags
            && self.address == wanted.address
            && self.port == wanted.port
    }
}

/// How a check stands.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Status {
    pub(crate) status: String,
    /// Empty for a check of a whole machine.
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) service_name: String,
}

fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}
