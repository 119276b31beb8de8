//! From the name of a service to its nodes.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use micro_core::registry::{Node, Service, Unreadable};
use micro_core::{Error, Kind, Result};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::config::{Config, Records};
use crate::error;

/// Names in SRV records that are asked for at once, and how many there may be.
const AT_ONCE: usize = 8;
const MOST: usize = 1_024;
/// Answers that are kept until they are too old.
const KEPT: u64 = 1_024;

/// The way to the servers. It keeps answers as long as they say, within the limits of the address.
#[derive(Debug)]
pub(crate) struct Names {
    pub(crate) config: Config,
    resolver: OnceCell<TokioResolver>,
    unreadable: Unreadable,
}

/// The record of a service, if it has nodes, and until when it is true.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) service: Option<Service>,
    pub(crate) until: Instant,
}

impl Names {
    pub(crate) fn new(config: Config) -> Self {
        Self { config, resolver: OnceCell::new(), unreadable: Unreadable::new("dns") }
    }

    pub(crate) async fn find(&self, service: &str) -> Result<Found> {
        let name = self.config.name(service);
        let asked = Name::from_utf8(&name).map_err(|error| {
            Error::new(Kind::InvalidArgument, format!("{service:?} cannot be asked for by DNS, as {name}: {error}"))
        })?;
        let resolver = self.resolver.get_or_try_init(async || resolver(&self.config)).await?;
        let found = timeout(self.config.timeout, async {
            match self.config.records {
                Records::Srv => self.by_srv(resolver, asked).await,
                Records::Addresses(port) => by_address(resolver, asked)
                    .await
                    .map(|(ips, until)| (ips.into_iter().map(|ip| (SocketAddr::new(ip, port), None)).collect(), until)),
            }
        });
        let found = found.await.map_err(|_| error::silent(&name, self.config.shown(), self.config.timeout))?;
        let (mut places, until) = found.map_err(|error| error::convert(&name, self.config.shown(), &error))?;
        places.sort_unstable_by_key(|(place, _)| *place);
        places.dedup_by_key(|(place, _)| *place);
        let mut record = Service::new(service, &self.config.version);
        record.nodes = places.into_iter().map(|(place, weight)| node(service, place, weight)).collect();
        let now = Instant::now();
        let (least, most) = self.config.ttl;
        let until = until.unwrap_or(now).clamp(now + least, now + most);
        Ok(Found { service: Some(record).filter(|record| !record.nodes.is_empty()), until })
    }

    /// Of the records those that come first; others are for when these are gone.
    async fn by_srv(&self, resolver: &TokioResolver, name: Name) -> Result<Places, NetError> {
        let answer = match resolver.lookup(name, RecordType::SRV).await {
            Ok(answer) => answer,
            Err(error) if error::is_nothing(&error) => return Ok((Vec::new(), None)),
            Err(error) => return Err(error),
        };
        let mut records = Vec::new();
        for record in answer.answers().iter().take(MOST) {
            match &record.data {
                // The root says that the service is not there, on purpose.
                RData::SRV(srv) if !srv.target.is_root() => records.push(srv.clone()),
                _ => {}
            }
        }
        let first = records.iter().map(|srv| srv.priority).min();
        records.retain(|srv| Some(srv.priority) == first);
        let asked: Vec<_> = records.into_iter().map(|srv| self.target(resolver, &answer, srv)).collect();
        let found: Vec<_> = stream::iter(asked).buffer_unordered(AT_ONCE).try_collect().await?;
        let until = found.iter().filter_map(|(_, until)| *until).chain([answer.valid_until()]).min();
        Ok((found.into_iter().flat_map(|(places, _)| places).collect(), until))
    }

    /// Where the target of a record is; one without an address is left out.
    async fn target(&self, resolver: &TokioResolver, answer: &Lookup, srv: SRV) -> Result<Places, NetError> {
        let (mut ips, mut until) = (beside(answer, &srv.target), None);
        if ips.is_empty() {
            (ips, until) = by_address(resolver, srv.target.clone()).await?;
        }
        if ips.is_empty() {
            let _: Option<()> = self.unreadable.leave_out(&srv.target.to_string(), &"it has no address");
        }
        let places = ips.into_iter().map(|ip| (SocketAddr::new(ip, srv.port), Some(srv.weight)));
        Ok((places.collect(), until))
    }
}

/// Where nodes are, with their weights where somebody gave some, and until when.
type Places = (Vec<(SocketAddr, Option<u16>)>, Option<Instant>);

/// Addresses that came along with an answer.
fn beside(answer: &Lookup, target: &Name) -> Vec<IpAddr> {
    let of_target = answer.additionals().iter().filter(|record| record.name == *target);
    of_target
        .filter_map(|record| match &record.data {
            RData::A(a) => Some(IpAddr::V4(a.0)),
            RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
            _ => None,
        })
        .collect()
}

async fn by_address(resolver: &TokioResolver, name: Name) -> Result<(Vec<IpAddr>, Option<Instant>), NetError> {
    match resolver.lookup_ip(name).await {
        Ok(answer) => Ok((answer.iter().take(MOST).collect(), Some(answer.valid_until()))),
        Err(error) if error::is_nothing(&error) => Ok((Vec::new(), None)),
        Err(error) => Err(error),
    }
}

fn node(service: &str, place: SocketAddr, weight: Option<u16>) -> Node {
    let node = Node::new(format!("{service}-{place}"), place.to_string());
    match weight {
        Some(weight) => node.with("weight", weight.to_string()),
        None => node,
    }
}

fn resolver(config: &Config) -> Result<TokioResolver> {
    let failed = |error: NetError| {
        let text =
            format!("no resolver for {} can be made: {error}; name a server, as dns://10.0.0.10:53", config.shown());
        Error::new(Kind::Config, text)
    };
    let mut builder = if config.servers.is_empty() {
        TokioResolver::builder_tokio().map_err(failed)?
    } else {
        let servers = config.servers.iter().map(|server| {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                connection.port = server.port();
                connection
            });
            NameServerConfig::new(server.ip(), true, connections.into())
        });
        let servers = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
        TokioResolver::builder_with_config(servers, TokioRuntimeProvider::default())
    };
    let options = builder.options_mut();
    // Two tries and a little time for what follows from an answer.
    options.timeout = (config.timeout / 3).max(Duration::from_millis(10));
    options.attempts = 2;
    options.cache_size = KEPT;
    options.use_hosts_file = ResolveHosts::Never;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    let (least, most) = config.ttl;
    (options.positive_min_ttl, options.positive_max_ttl) = (Some(least), Some(most));
    (options.negative_min_ttl, options.negative_max_ttl) = (Some(least), Some(most));
    builder.build().map_err(failed)
}
