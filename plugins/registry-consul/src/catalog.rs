//! What Consul lists.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use micro_core::Result;
use micro_core::registry::{Service, Unreadable};

use crate::api::{Entry, Status};
use crate::convert;
use crate::http::Http;

/// How many services are asked for at once.
const AT_ONCE: usize = 8;
/// A pause before everything is asked for anew, by the number of services: many changes are then told at once.
const PAUSE: Duration = Duration::from_millis(20);
const PAUSE_A_SERVICE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The catalog of an agent's cluster, and the health of what is in it.
#[derive(Debug)]
pub(crate) struct Catalog {
    http: Http,
    unreadable: Unreadable,
}

/// The nodes of a service as Consul lists them, the sick ones too.
#[derive(Debug)]
pub(crate) struct Nodes {
    pub(crate) entries: Vec<Entry>,
    pub(crate) index: u64,
}

/// What is found, by Consul's key, and up to where it was read.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) records: Vec<(String, Service)>,
    pub(crate) index: Indexes,
}

/// Where the lists stood: of one service, or of the catalog and of the checks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Indexes {
    pub(crate) services: u64,
    pub(crate) checks: u64,
}

impl Catalog {
    pub(crate) fn new(http: Http, unreadable: Unreadable) -> Self {
        Self { http, unreadable }
    }

    pub(crate) fn http(&self) -> &Http {
        &self.http
    }

    /// Returns the nodes of a service, by Consul's name; at once where the index is 0.
    pub(crate) async fn service(&self, name: &str, index: u64, wait: Duration) -> Result<Nodes> {
        let answer = self.http.list(&["health", "service", name], index, wait).await?;
        let entries: Vec<Entry> = answer.json(&self.http)?;
        if entries.is_empty() && answer.filtered {
            return Err(self.http.hidden(&format!("the service {name}")));
        }
        Ok(Nodes { entries, index: answer.index })
    }

    /// Returns the healthy nodes of a service, by our name; at once where the index is 0.
    pub(crate) async fn of(&self, service: &str, index: u64) -> Result<Found> {
        let domain = &self.http.config.domain;
        let name = convert::in_domain(domain, service);
        let nodes = self.service(&name, index, self.wait()).await?;
        let records = nodes.entries.into_iter().filter_map(|entry| convert::record(entry, domain, &self.unreadable));
        // Not what another domain has under the same name.
        let records = records.filter(|(_, record)| record.name == service).collect();
        Ok(Found { records, index: Indexes { services: nodes.index, checks: 0 } })
    }

    /// Returns the names of the services with a healthy node, sorted.
    pub(crate) async fn names(&self) -> Result<Vec<String>> {
        let (names, _) = self.listed(0).await?;
        let sick: Vec<Status> = self.sick(0).await?.json(&self.http)?;
        // Where a whole machine is sick, any service may be.
        let any = sick.iter().any(|check| check.service_name.is_empty());
        let sick: BTreeSet<_> = sick.into_iter().map(|check| check.service_name).collect();
        let domain = &self.http.config.domain;
        let (doubtful, mut healthy): (Vec<_>, Vec<_>) =
            names.into_iter().partition(|name| any || sick.contains(&convert::in_domain(domain, name)));
        let asked = stream::iter(doubtful).map(|name| async move {
            let found = self.of(&name, 0).await?;
            Ok::<_, micro_core::Error>((name, !found.records.is_empty()))
        });
        let asked: Vec<_> = asked.buffer_unordered(AT_ONCE).try_collect().await?;
        healthy.extend(asked.into_iter().filter_map(|(name, is_healthy)| is_healthy.then_some(name)));
        healthy.sort_unstable();
        Ok(healthy)
    }

    /// Returns every healthy node; at once where the index is that of nothing, else after something changed.
    pub(crate) async fn everything(&self, index: Indexes, known: usize) -> Result<Found> {
        if index != Indexes::default() {
            let changed = tokio::select! {
                services = self.listed(index.services) => services.map(|(_, now)| now != index.services),
                checks = self.sick(index.checks) => checks.map(|answer| answer.index != index.checks),
            };
            if changed? {
                let pause = PAUSE + PAUSE_A_SERVICE * u32::try_from(known).unwrap_or(u32::MAX);
                tokio::time::sleep(pause.min(LONGEST_PAUSE)).await;
            }
        }
        // Where the lists stand is asked before what is in them, so that nothing falls between.
        let checks = self.sick(0).await?.index;
        let (names, services) = self.listed(0).await?;
        let asked = stream::iter(names).map(|name| async move { self.of(&name, 0).await });
        let found: Vec<Found> = asked.buffer_unordered(AT_ONCE).try_collect().await?;
        let records = found.into_iter().flat_map(|found| found.records).collect();
        Ok(Found { records, index: Indexes { services, checks } })
    }

    /// The services of our domain, by our names, healthy or not.
    async fn listed(&self, index: u64) -> Result<(Vec<String>, u64)> {
        let answer = self.http.list(&["catalog", "services"], index, self.wait()).await?;
        let services: BTreeMap<String, Option<Vec<String>>> = answer.json(&self.http)?;
        let domain = &self.http.config.domain;
        let names = services.iter().filter_map(|(name, tags)| {
            convert::out_of_domain(domain, name, tags.as_deref().unwrap_or_default()).map(str::to_owned)
        });
        Ok((names.collect(), answer.index))
    }

    /// The checks that failed.
    async fn sick(&self, index: u64) -> Result<crate::http::Answer> {
        self.http.list(&["health", "state", "critical"], index, self.wait()).await
    }

    /// Not all watches ask at the same time.
    fn wait(&self) -> Duration {
        self.http.config.wait.mul_f32(0.8 + 0.2 * fastrand::f32())
    }
}
