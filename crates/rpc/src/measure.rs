//! Counters and times of calls, by the `metrics` facade. A recorder counts from the first call after it was installed on
//! each endpoint; without one they cost a branch.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics::{Counter, Histogram, counter, histogram};

const NAMES: [&str; 17] = [
    "ok",
    "cancelled",
    "unknown",
    "invalid_argument",
    "deadline_exceeded",
    "not_found",
    "already_exists",
    "permission_denied",
    "resource_exhausted",
    "failed_precondition",
    "aborted",
    "out_of_range",
    "unimplemented",
    "internal",
    "unavailable",
    "data_loss",
    "unauthenticated",
];

/// The counters of one endpoint, looked up once.
pub(crate) struct Measure {
    side: Side,
    endpoint: Arc<str>,
    counters: [OnceLock<Counter>; NAMES.len()],
    refused: [OnceLock<Counter>; 3],
    duration: OnceLock<Histogram>,
}

/// Why a call is not begun.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Refused {
    /// As many run as may.
    Limit,
    /// Calls wait too long for their turn.
    Overload,
    /// Its time is over, or too short.
    Deadline,
}

impl Refused {
    fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Overload => "overload",
            Self::Deadline => "deadline",
        }
    }
}

enum Side {
    Server,
    Client { service: Arc<str> },
}

impl Measure {
    pub(crate) fn server(endpoint: Arc<str>) -> Self {
        Self::new(Side::Server, endpoint)
    }

    pub(crate) fn client(service: Arc<str>, endpoint: Arc<str>) -> Self {
        Self::new(Side::Client { service }, endpoint)
    }

    /// Counts a call that was not begun. It is in none of the other figures.
    pub(crate) fn refuse(&self, why: Refused) {
        let of = |why: &'static str| counter!("micro_rpc_server_refused_total", "endpoint" => self.endpoint.clone(), "reason" => why);
        self.refused[why as usize].get_or_init(|| of(why.name())).increment(1);
    }

    fn new(side: Side, endpoint: Arc<str>) -> Self {
        Self {
            side,
            endpoint,
            counters: [const { OnceLock::new() }; NAMES.len()],
            refused: [const { OnceLock::new() }; 3],
            duration: OnceLock::new(),
        }
    }

    /// Counts a call that ended with a gRPC code.
    pub(crate) fn record(&self, code: u8, took: Duration) {
        let code = if usize::from(code) < NAMES.len() { usize::from(code) } else { 2 };
        self.counters[code].get_or_init(|| self.counter(NAMES[code])).increment(1);
        self.duration.get_or_init(|| self.histogram()).record(took);
    }

    fn counter(&self, code: &'static str) -> Counter {
        let endpoint = self.endpoint.clone();
        match &self.side {
            Side::Server => counter!("micro_rpc_server_requests_total", "endpoint" => endpoint, "code" => code),
            Side::Client { service } => {
                let service = service.clone();
                counter!("micro_rpc_client_requests_total", "service" => service, "endpoint" => endpoint, "code" => code)
            }
        }
    }

    fn histogram(&self) -> Histogram {
        let endpoint = self.endpoint.clone();
        match &self.side {
            Side::Server => histogram!("micro_rpc_server_request_duration_seconds", "endpoint" => endpoint),
            Side::Client { service } => {
                let service = service.clone();
                histogram!("micro_rpc_client_request_duration_seconds", "service" => service, "endpoint" => endpoint)
            }
        }
    }
}
