//! From a path to an endpoint, as go-micro goes: the last dot-part of the service, and the method.

use std::collections::HashMap;
use std::sync::Arc;

use micro_core::{Error, Kind, Result};

use super::fastest::Fastest;
use super::handler::Handler;
use super::occupied::Places;
use super::{Endpoint, ServerOptions, layered};
use crate::measure::Measure;
use crate::wire::failure::Failure;

#[derive(Default)]
pub(crate) struct Routes {
    methods: HashMap<Box<str>, HashMap<Box<str>, Arc<Route>>>,
    /// gRPC's own services, by their full path: a user's service may have the same last part.
    built_in: HashMap<&'static str, Arc<Route>>,
}

pub(crate) struct Route {
    pub(super) name: Arc<str>,
    pub(super) handler: Handler,
    pub(super) measure: Measure,
    pub(super) fastest: Fastest,
    /// How many of its calls may run at once, if that is limited.
    pub(super) places: Option<Places>,
    /// Answered whatever the load: who asks for the health of a busy server is to hear that it lives.
    pub(super) is_built_in: bool,
}

impl Route {
    fn new(name: Arc<str>, handler: Handler, limit: Option<usize>) -> Self {
        let measure = Measure::server(name.clone());
        Self { name, handler, measure, fastest: Fastest::new(), places: limit.map(Places::new), is_built_in: false }
    }
}

impl Routes {
    pub(super) fn new(endpoints: Vec<Endpoint>, options: &ServerOptions) -> Result<Self> {
        let mut routes = Self::default();
        let next = options.layers().build();
        check_limits(&endpoints, options)?;
        for endpoint in endpoints {
            let usual = options.usual_endpoint_limit().filter(|_| !endpoint.is_internal());
            let limit = options.endpoint_limits().get(endpoint.name()).copied().or(endpoint.limit()).or(usual);
            let (name, handler) = endpoint.into_parts();
            let refused =
                |why: &str| Error::new(Kind::Config, format!("the endpoint {name:?} cannot be offered: {why}"));
            let (service, method) = name
                .split_once('.')
                .filter(|(service, method)| !service.is_empty() && !method.is_empty() && !name.contains('/'))
                .filter(|(_, method)| !method.contains('.'))
                .ok_or_else(|| refused("its name must have two parts, as Greeter.Greet"))?;
            let handler = match &next {
                Some(next) => layered::wrap(options.shared_name(), &name, handler, next),
                None => handler,
            };
            let route = Arc::new(Route::new(name.clone(), handler, limit));
            if routes.methods.entry(service.into()).or_default().insert(method.into(), route).is_some() {
                return Err(refused("it stands twice; give one of them another name"));
            }
        }
        Ok(routes)
    }

    pub(super) fn add_built_in(&mut self, endpoints: Vec<(&'static str, Endpoint)>) {
        for (path, endpoint) in endpoints {
            let (name, handler) = endpoint.into_parts();
            let route = Route { is_built_in: true, ..Route::new(name, handler, None) };
            self.built_in.insert(path, Arc::new(route));
        }
    }

    pub(super) fn services(&self) -> impl Iterator<Item = String> {
        self.methods.keys().map(|service| service.to_string())
    }

    /// Finds the endpoint of a path.
    pub(super) fn find(&self, path: &str) -> Result<&Arc<Route>, Failure> {
        if path.starts_with("/grpc.")
            && let Some(route) = self.built_in.get(path)
        {
            return Ok(route);
        }
        let (service, method) = split(path)?;
        let service = service.rsplit('.').next().unwrap_or(service);
        let methods = self.methods.get(service).ok_or_else(|| Failure::unknown(service))?;
        methods.get(method).ok_or_else(|| Failure::unknown(format_args!("{service}.{method}")))
    }
}

/// Checks that every limit is one of an endpoint that there is.
fn check_limits(endpoints: &[Endpoint], options: &ServerOptions) -> Result<()> {
    let unknown = |name: &&String| endpoints.iter().all(|endpoint| endpoint.name() != name.as_str());
    let Some(name) = options.endpoint_limits().keys().find(unknown) else { return Ok(()) };
    let mut names: Vec<_> = endpoints.iter().filter(|one| !one.is_internal()).map(Endpoint::name).collect();
    names.sort_unstable();
    let likeness = |known: &&str| strsim::jaro_winkler(name, known);
    let near = names.iter().copied().filter(|known| likeness(known) > 0.8);
    let hint = match near.max_by(|a, b| likeness(a).total_cmp(&likeness(b))) {
        Some(near) => format!("did you mean {near}?"),
        None if names.is_empty() => "this server has none".to_owned(),
        None => format!("there are {}", names.join(", ")),
    };
    let text = format!("the limit of the endpoint {name:?} is one of none: {hint}");
    Err(Error::new(Kind::Config, text).operation("server.start"))
}

fn split(path: &str) -> Result<(&str, &str), Failure> {
    let inner = path.strip_prefix('/').unwrap_or(path);
    match inner.split_once('/') {
        // grpc-go itself answers a path without a second slash, with another code than go-micro's.
        None => Err(Failure::malformed_path(12, inner)),
        Some((service, method)) if !path.starts_with('/') || service.is_empty() || method.contains('/') => {
            Err(Failure::malformed_path(3, path)).map(|()| (service, method))
        }
        Some(parts) => Ok(parts),
    }
}
