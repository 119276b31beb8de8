use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use micro_core::registry::{Node, Service};
use micro_core::{Error, Kind, Result};
use tokio::time::Instant;

use crate::config::Config;
use crate::convert;
use crate::packet::{self, Entry};

/// For how long what is still under way about a node that we took away is not believed.
const GONE_FOR: Duration = Duration::from_secs(2);

/// The nodes that this program registered.
#[derive(Debug)]
pub(crate) struct Own {
    config: Config,
    host: String,
    /// By instance name.
    nodes: BTreeMap<String, OwnNode>,
    gone: BTreeMap<String, Instant>,
    generations: u64,
}

#[derive(Debug)]
pub(crate) struct OwnNode {
    /// The record with this node only.
    pub(crate) service: Service,
    pub(crate) entry: Entry,
    /// Which announcements are still its own.
    pub(crate) generation: u64,
    expires: Option<Instant>,
}

/// What registering a node did.
pub(crate) enum Registered {
    Refreshed,
    New { instance: String, generation: u64 },
    Changed { instance: String, generation: u64, before: Service },
}

impl Own {
    pub(crate) fn new(config: Config) -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().trim_matches('.').to_owned();
        let fits = !host.is_empty() && packet::query(0, &host).is_ok();
        let host = if fits { host } else { "localhost".to_owned() };
        Self { config, host, nodes: BTreeMap::new(), gone: BTreeMap::new(), generations: 0 }
    }

    /// Takes the nodes of a record: all of them, or none if one cannot be carried.
    pub(crate) fn register(&mut self, service: &Service, ttl: Duration, now: Instant) -> Result<Vec<Registered>> {
        service.check_registration(ttl)?;
        let entries = service.nodes.iter().map(|node| self.entry(service, node)).collect::<Result<Vec<_>>>()?;
        let expires = now.checked_add(ttl);
        let mut registered = Vec::new();
        for (node, entry) in service.nodes.iter().zip(entries) {
            let instance = entry.instance.clone();
            let service = service.with_only(node.clone());
            self.gone.remove(&instance);
            if let Some(known) = self.nodes.get_mut(&instance)
                && known.entry == entry
            {
                known.expires = expires;
                registered.push(Registered::Refreshed);
                continue;
            }
            self.generations += 1;
            let generation = self.generations;
            let before = self.nodes.insert(instance.clone(), OwnNode { service, entry, generation, expires });
            registered.push(match before {
                None => Registered::New { instance, generation },
                Some(before) => Registered::Changed { instance, generation, before: before.service },
            });
        }
        Ok(registered)
    }

    fn entry(&self, service: &Service, node: &Node) -> Result<Entry> {
        let instance = format!("{}.{}.{}", node.id, service.name, self.config.domain);
        let address = node.ip().zip(node.host_port());
        let Some((ip, (_, port))) = address else {
            return Err(Error::new(
                Kind::InvalidArgument,
                format!(
                    "mDNS carries IP addresses only, and the node {} is at {:?}; advertise an IP address and a port",
                    node.id, node.address
                ),
            ));
        };
        let txt = convert::pack(service, node)?;
        let entry = Entry { instance, host: self.host.clone(), ip, port, ttl: self.config.ttl_seconds(), txt };
        // Whether it fits shows only in the largest packet it goes into.
        packet::probe(&entry)?;
        packet::announcement(&entry)?;
        packet::query(0, &format!("{}.{}.{}", service.name, packet::LIST, self.config.domain))?;
        Ok(entry)
    }

    /// Takes the record's nodes away and returns those that were there, in the record's version.
    pub(crate) fn deregister(&mut self, service: &Service, now: Instant) -> Vec<OwnNode> {
        let names = service.nodes.iter().map(|node| format!("{}.{}.{}", node.id, service.name, self.config.domain));
        let of_version =
            |instance: &String| self.nodes.get(instance).is_some_and(|node| node.service.version == service.version);
        let gone: Vec<String> = names.filter(of_version).collect();
        gone.iter().filter_map(|instance| self.remove(instance, now)).collect()
    }

    /// Takes away the nodes whose time to live is over.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<OwnNode> {
        self.gone.retain(|_, since| now.duration_since(*since) < GONE_FOR);
        let over = |node: &OwnNode| node.expires.is_some_and(|at| at <= now);
        let names: Vec<String> =
            self.nodes.iter().filter(|(_, node)| over(node)).map(|(instance, _)| instance.clone()).collect();
        names.iter().filter_map(|instance| self.remove(instance, now)).collect()
    }

    /// Takes all nodes away.
    pub(crate) fn clear(&mut self) -> Vec<OwnNode> {
        std::mem::take(&mut self.nodes).into_values().collect()
    }

    fn remove(&mut self, instance: &str, now: Instant) -> Option<OwnNode> {
        let node = self.nodes.remove(instance)?;
        self.gone.insert(instance.to_owned(), now);
        Some(node)
    }

    /// Tells whether we know better about this node than the network.
    pub(crate) fn has_the_say(&self, instance: &str, now: Instant) -> bool {
        self.nodes.contains_key(instance)
            || self.gone.get(instance).is_some_and(|since| now.duration_since(*since) < GONE_FOR)
    }

    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.nodes.values().filter_map(|node| node.expires).min()
    }

    /// Returns the entry if no newer registration replaced it.
    pub(crate) fn current(&self, instance: &str, generation: u64) -> Option<&Entry> {
        self.nodes.get(instance).filter(|node| node.generation == generation).map(|node| &node.entry)
    }

    pub(crate) fn record(&self, instance: &str) -> Option<&Service> {
        self.nodes.get(instance).map(|node| &node.service)
    }

    pub(crate) fn records(&self, service: Option<&str>) -> impl Iterator<Item = &Service> {
        let all = self.nodes.values().map(|node| &node.service);
        all.filter(move |record| service.is_none_or(|service| record.name == service))
    }

    pub(crate) fn names(&self) -> BTreeSet<String> {
        self.nodes.values().map(|node| node.service.name.clone()).collect()
    }

    /// Returns the packets that answer one question.
    pub(crate) fn answers(&self, id: u16, asked: &(String, packet::Kinds)) -> Vec<Result<Vec<u8>>> {
        let (name, kinds) = asked;
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        let domain = &self.config.domain;
        if is(&format!("{}.{domain}", packet::LIST)) {
            let ttl = self.config.ttl_seconds();
            let names = if kinds.lists() { self.names() } else { BTreeSet::new() };
            let listed = names.iter().map(|service| packet::listed(service, domain, &self.host, ttl));
            return listed.map(|entry| packet::answer(id, asked, Some(name), &entry)).collect();
        }
        let mut answers = Vec::new();
        for node in self.nodes.values() {
            if kinds.lists() && is(&format!("{}.{domain}", node.service.name)) {
                answers.push(packet::answer(id, asked, Some(name), &node.entry));
            } else if kinds.describes() && is(&node.entry.instance) {
                answers.push(packet::answer(id, asked, None, &node.entry));
            }
        }
        answers
    }
}
