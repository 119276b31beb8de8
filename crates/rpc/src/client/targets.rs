//! Service and endpoint to path, worked out once.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use http::uri::PathAndQuery;
use micro_core::{Error, Kind, Result};

use super::circuits::Circuits;
use crate::measure::Measure;
use crate::wire::status::CLIENT;

/// How many targets are remembered. Beyond, each call works its own out: names made up by callers shall not fill memory.
const MOST: usize = 4096;

#[derive(Default)]
pub(super) struct Targets(RwLock<Known>);

#[derive(Default)]
struct Known {
    services: HashMap<Box<str>, HashMap<Box<str>, Arc<Target>>>,
    count: usize,
}

/// Where a call goes, whatever the node.
pub(super) struct Target {
    pub(super) service: Arc<str>,
    pub(super) endpoint: Arc<str>,
    pub(super) path: PathAndQuery,
    pub(super) measure: Measure,
    pub(super) circuits: Circuits,
}

impl Targets {
    pub(super) fn get(&self, service: &str, endpoint: &str) -> Result<Arc<Target>> {
        let find = |known: &Known| known.services.get(service)?.get(endpoint).cloned();
        if let Some(target) = find(&self.0.read().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(target);
        }
        let target = Arc::new(Target::new(service, endpoint)?);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.count < MOST {
            known.count += 1;
            known.services.entry(service.into()).or_default().insert(endpoint.into(), target.clone());
        }
        Ok(target)
    }
}

impl Target {
    fn new(service: &str, endpoint: &str) -> Result<Self> {
        let path = path(service, endpoint).and_then(|path| PathAndQuery::try_from(path).ok()).ok_or_else(|| {
            let text = format!(
                "the endpoint {endpoint:?} of service {service:?} makes no path; write Service.Method, \
                 or a path as /package.Service/Method"
            );
            Error::new(Kind::InvalidArgument, text).id(CLIENT)
        })?;
        let (service, endpoint): (Arc<str>, Arc<str>) = (service.into(), endpoint.into());
        let measure = Measure::client(service.clone(), endpoint.clone());
        Ok(Self { service, endpoint, path, measure, circuits: Circuits::default() })
    }
}

/// go-micro's way to make a path.
fn path(service: &str, endpoint: &str) -> Option<String> {
    if endpoint.starts_with('/') {
        return Some(endpoint.to_owned());
    }
    let (type_name, method) = endpoint.split_once('.')?;
    if type_name.is_empty() || method.is_empty() || method.contains('.') || endpoint.contains(['/', '?', '#']) {
        return None;
    }
    Some(if service.is_empty() { format!("/{type_name}/{method}") } else { format!("/{service}.{type_name}/{method}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_go_micros() {
        for (service, endpoint, expected) in [
            ("greeter", "Greeter.Greet", Some("/greeter.Greeter/Greet")),
            ("go.micro.srv.greeter", "Greeter.Greet", Some("/go.micro.srv.greeter.Greeter/Greet")),
            ("", "Greeter.Greet", Some("/Greeter/Greet")),
            ("greeter", "/pkg.Svc/Method", Some("/pkg.Svc/Method")),
            ("greeter", "Greeter", None),
            ("greeter", "A.B.C", None),
            ("greeter", "", None),
        ] {
            assert_eq!(path(service, endpoint).as_deref(), expected, "{service} {endpoint}");
        }
    }

    #[test]
    fn an_endpoint_without_a_method_says_how_to_write_it() {
        let error = Targets::default().get("greeter", "Greeter").err().unwrap().to_string();
        assert!(error.contains("\"Greeter\"") && error.contains("Service.Method"), "{error}");
    }
}
