use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use micro_core::registry::{Cache, Known};
use micro_core::{Context, Result};
use micro_rpc::{Client, Endpoint, Sender, Stats};
use tokio::sync::broadcast::error::RecvError;

use super::messages::{
    CacheRequest, CacheResponse, HealthRequest, HealthResponse, LogRequest, Record, Span, StatsRequest, StatsResponse,
    TraceRequest, TraceResponse,
};
use super::process::Process;
use crate::logging::{self, Direction, Records};

/// How many spans `Debug.Trace` answers at most.
const SPANS: usize = 512;

/// The `Debug` endpoints of one service.
#[derive(Debug, Clone)]
pub(crate) struct Debug(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    started: SystemTime,
    /// Set once the server listens.
    stats: OnceLock<Stats>,
    client: Client,
}

impl Debug {
    pub(crate) fn new(client: Client) -> Self {
        Self(Arc::new(Inner { started: SystemTime::now(), stats: OnceLock::new(), client }))
    }

    /// Says whose numbers these are.
    pub(crate) fn serving(&self, stats: Stats) {
        let _ = self.0.stats.set(stats);
    }

    /// Makes the endpoints.
    pub(crate) fn endpoints(&self) -> Vec<Endpoint> {
        let (stats, cache) = (self.clone(), self.clone());
        vec![
            Endpoint::unary("Debug.Health", |_: Context, _: HealthRequest| async {
                Ok(HealthResponse { status: "ok".to_owned() })
            })
            .internal(),
            Endpoint::unary("Debug.Stats", move |_: Context, _: StatsRequest| {
                let answer = stats.stats();
                async move { Ok(answer) }
            })
            .internal(),
            Endpoint::server_stream("Debug.Log", log).internal(),
            Endpoint::unary("Debug.Trace", |_: Context, request: TraceRequest| async move {
                Ok(TraceResponse { spans: spans(&request.id) })
            })
            .internal(),
            Endpoint::unary("Debug.Cache", move |_: Context, _: CacheRequest| {
                let answer = cache.cache();
                async move { Ok(answer) }
            })
            .internal(),
        ]
    }

    fn stats(&self) -> StatsResponse {
        let process = Process::now();
        let (requests, errors) = self.0.stats.get().map_or((0, 0), |stats| (stats.requests(), stats.errors()));
        StatsResponse {
            timestamp: seconds(SystemTime::now()),
            started: seconds(self.0.started),
            uptime: self.0.started.elapsed().unwrap_or_default().as_secs(),
            memory: process.memory,
            threads: process.threads,
            gc: 0,
            requests,
            errors,
        }
    }

    /// The services that the client has looked up, with the nodes it knows.
    fn cache(&self) -> CacheResponse {
        let known = self.0.client.cache().into_iter().flat_map(Cache::services);
        let nodes = |known: &Known| {
            let nodes = known.candidates().iter().map(|candidate| candidate.node.address.as_str());
            nodes.collect::<Vec<_>>().join(",")
        };
        CacheResponse { values: known.map(|(service, known)| (service.to_string(), nodes(&known))).collect() }
    }
}

async fn log(_: Context, request: LogRequest, lines: Sender<Record>) -> Result<()> {
    // Before the old lines are read, so that none is missed between the two.
    let mut live = request.stream.then(Records::follow);
    let count = usize::try_from(request.count).ok().filter(|count| *count > 0).unwrap_or(usize::MAX);
    for record in Records::last(count, request.since) {
        lines.send(line(record)).await?;
    }
    while let Some(receiver) = &mut live {
        match receiver.recv().await {
            Ok(record) => lines.send(line(record)).await?,
            // A slow reader gets the next lines; it sees by the times that some are missing.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => break,
        }
    }
    Ok(())
}

fn line(record: logging::Record) -> Record {
    Record { timestamp: record.timestamp, metadata: record.metadata.into_iter().collect(), message: record.message }
}

fn spans(trace: &str) -> Vec<Span> {
    let spans = logging::recent(SPANS, trace).into_iter();
    spans
        .map(|span| Span {
            trace: span.trace,
            id: span.id,
            parent: span.parent,
            name: span.name,
            started: u64::try_from(span.started.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos())
                .unwrap_or(u64::MAX),
            duration: u64::try_from(span.duration.as_nanos()).unwrap_or(u64::MAX),
            metadata: span.metadata.into_iter().collect(),
            r#type: match span.direction {
                Direction::Inbound => 0,
                Direction::Outbound => 1,
            },
        })
        .collect()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
