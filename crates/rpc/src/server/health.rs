//! `grpc.health.v1`: whether a server serves, for load balancers and `grpc_health_probe`.

use std::collections::HashSet;
use std::sync::Arc;

use micro_core::{Error, Kind, Result};
use tokio::sync::watch;

use super::Endpoint;
use crate::stream::Sender;
use crate::wire::message::payload;

const SERVING: i32 = 1;
const NOT_SERVING: i32 = 2;
const SERVICE_UNKNOWN: i32 = 3;

/// `grpc.health.v1.HealthCheckRequest`.
#[derive(Clone, PartialEq, prost::Message)]
struct Request {
    #[prost(string, tag = "1")]
    service: String,
}

/// `grpc.health.v1.HealthCheckResponse`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Response {
    #[prost(int32, tag = "1")]
    status: i32,
}

payload!(Request, Response);

/// Answers whether the server serves.
#[derive(Clone)]
pub(crate) struct Health {
    /// Without packages, as paths are looked up.
    names: Arc<HashSet<String>>,
    serving: Arc<watch::Sender<bool>>,
}

impl Health {
    pub(super) fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self { names: Arc::new(names.into_iter().collect()), serving: Arc::new(watch::Sender::new(true)) }
    }

    /// Says that the server no longer serves.
    pub(super) fn stop(&self) {
        self.serving.send_replace(false);
    }

    fn knows(&self, service: &str) -> bool {
        service.is_empty()
            || self.names.contains(service)
            || service.rsplit('.').next().is_some_and(|last| self.names.contains(last))
    }

    fn status(&self) -> i32 {
        if *self.serving.borrow() { SERVING } else { NOT_SERVING }
    }

    fn check(&self, request: &Request) -> Result<Response> {
        if self.knows(&request.service) {
            return Ok(Response { status: self.status() });
        }
        Err(Error::new(Kind::NotFound, format!("no service {} is here", request.service)))
    }

    /// Tells the status and each change of it; ends when the server stops.
    async fn watch(&self, request: Request, responses: Sender<Response>) -> Result<()> {
        let mut serving = self.serving.subscribe();
        if !self.knows(&request.service) {
            responses.send(Response { status: SERVICE_UNKNOWN }).await?;
        }
        loop {
            let now = *serving.borrow_and_update();
            if self.knows(&request.service) {
                responses.send(Response { status: if now { SERVING } else { NOT_SERVING } }).await?;
            }
            if !now || serving.changed().await.is_err() {
                return Ok(());
            }
        }
    }

    /// Returns the endpoints with their full paths.
    pub(super) fn endpoints(&self) -> Vec<(&'static str, Endpoint)> {
        let (check, watch) = (self.clone(), self.clone());
        vec![
            (
                "/grpc.health.v1.Health/Check",
                Endpoint::unary("Health.Check", move |_, request: Request| std::future::ready(check.check(&request))),
            ),
            (
                "/grpc.health.v1.Health/Watch",
                Endpoint::server_stream("Health.Watch", move |_, request: Request, responses| {
                    let health = watch.clone();
                    async move { health.watch(request, responses).await }
                }),
            ),
        ]
    }
}
