//! What the client library tells: noted here, acted upon by whoever polls.

use std::collections::VecDeque;
use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use micro_core::address::Secret;
use rdkafka::Statistics;
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;

use crate::publisher::Flow;
use crate::sent::Sent;
use crate::topics::Topics;

/// The same trouble is told aloud once in this time.
const QUIET: Duration = Duration::from_secs(30);
/// A token that says no end is asked for again after this.
const TOKEN_LIFE: Duration = Duration::from_secs(600);

/// An access token for SASL OAUTHBEARER.
///
/// `Debug` hides it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AccessToken {
    pub(crate) token: Secret,
    pub(crate) principal: String,
    pub(crate) expires: Option<SystemTime>,
}

impl AccessToken {
    /// Creates a token for a principal, the name of the account.
    #[must_use]
    pub fn new(principal: impl Into<String>, token: impl Into<String>) -> Self {
        Self { token: Secret::new(token), principal: principal.into(), expires: None }
    }

    /// Sets until when it is good; a new one is asked for after four fifths of the time. Unset: ten minutes.
    #[must_use]
    pub fn expires(mut self, at: SystemTime) -> Self {
        self.expires = Some(at);
        self
    }
}

/// Gives a token whenever one is needed. It is called on a thread of the client and may block for a while.
pub(crate) type TokenSource = Arc<dyn Fn() -> micro_core::Result<AccessToken> + Send + Sync>;

/// What is common to the clients of one broker.
pub(crate) struct Watch {
    /// The servers, for the log.
    address: String,
    token: Option<TokenSource>,
    last: Mutex<Option<(Code, String, Instant)>>,
}

impl Watch {
    pub(crate) fn new(address: String, token: Option<TokenSource>) -> Self {
        Self { address, token, last: Mutex::default() }
    }

    /// Returns the last trouble with the servers, in the library's words.
    pub(crate) fn trouble(&self) -> Option<(Code, String)> {
        lock(&self.last).as_ref().map(|(code, text, _)| (*code, text.clone()))
    }

    /// Forgets it, before something new is tried.
    pub(crate) fn forget(&self) {
        *lock(&self.last) = None;
    }

    fn error(&self, error: &KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
        let mut last = lock(&self.last);
        let known = last.as_ref().is_some_and(|(known, _, told)| *known == code && told.elapsed() < QUIET);
        // That all are down says less than why the last one is.
        if code != Code::AllBrokersDown || last.is_none() {
            let told = last.as_ref().filter(|_| known).map_or_else(Instant::now, |(_, _, told)| *told);
            *last = Some((code, reason.to_owned(), told));
        }
        drop(last);
        if known || code == Code::AllBrokersDown {
            tracing::debug!(address = %self.address, ?code, "kafka: {reason}");
        } else {
            tracing::warn!(address = %self.address, ?code, "kafka: {reason}");
        }
    }

    fn log(level: RDKafkaLogLevel, facility: &str, text: &str) {
        // What is an error comes by `error` too.
        match level {
            // A server that has just started says so until it has loaded what it keeps.
            RDKafkaLogLevel::Warning if facility != "GETPID" => tracing::warn!(facility, "librdkafka: {text}"),
            _ => tracing::debug!(facility, "librdkafka: {text}"),
        }
    }

    fn token(&self) -> Result<OAuthToken, Box<dyn StdError>> {
        let source = self.token.as_ref().ok_or("sasl=OAUTHBEARER needs ?token=, or Kafka::token_source(…) in code")?;
        let token = source().map_err(|error| {
            tracing::warn!(address = %self.address, %error, "kafka: no access token");
            error
        })?;
        let expires = token.expires.unwrap_or_else(|| SystemTime::now() + TOKEN_LIFE);
        let lifetime = expires.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(OAuthToken {
            token: token.token.reveal().to_owned(),
            principal_name: token.principal,
            lifetime_ms: i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX),
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

macro_rules! client_context {
    ($name:ident) => {
        impl ClientContext for $name {
            const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

            fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
                Watch::log(level, facility, text);
            }

            fn error(&self, error: KafkaError, reason: &str) {
                self.watch.error(&error, reason);
            }

            fn stats(&self, statistics: Statistics) {
                self.note(statistics);
            }

            fn generate_oauth_token(&self, _config: Option<&str>) -> Result<OAuthToken, Box<dyn StdError>> {
                self.watch.token()
            }
        }
    };
}

/// The publishing side: hears what became of each record.
pub(crate) struct Deliveries {
    pub(crate) watch: Arc<Watch>,
    pub(crate) flow: Arc<Flow>,
    pub(crate) topics: Arc<Topics>,
}

client_context!(Deliveries);

impl Deliveries {
    fn note(&self, _: Statistics) {}
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Sent;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Sent) {
        sent.delivered(result, &self.flow, &self.topics);
    }
}

/// What the group decided.
#[derive(Debug)]
pub(crate) enum Rebalance {
    /// These are ours now.
    Assign(Vec<(String, i32)>),
    /// These are to be given away; `lost` if that has happened already.
    Revoke { partitions: Vec<(String, i32)>, lost: bool },
}

/// The subscribing side: keeps what it hears until the one who polls takes it.
pub(crate) struct Events {
    pub(crate) watch: Arc<Watch>,
    heard: Mutex<Heard>,
}

/// What was heard since the last look.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) rebalances: VecDeque<Rebalance>,
    pub(crate) commits: Vec<KafkaResult<()>>,
    pub(crate) statistics: Option<Statistics>,
    /// The consumer is closing: what is asked for is granted at once.
    pub(crate) closing: bool,
}

pub(crate) type Consumer = BaseConsumer<Events>;

client_context!(Events);

impl Events {
    pub(crate) fn new(watch: Arc<Watch>) -> Self {
        Self { watch, heard: Mutex::default() }
    }

    pub(crate) fn heard(&self) -> MutexGuard<'_, Heard> {
        lock(&self.heard)
    }

    fn note(&self, statistics: Statistics) {
        self.heard().statistics = Some(statistics);
    }
}

impl ConsumerContext for Events {
    fn rebalance(&self, consumer: &Consumer, code: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let mut heard = self.heard();
        if heard.closing {
            drop(heard);
            let given = match (code, consumer.rebalance_protocol()) {
                (RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS, RebalanceProtocol::Cooperative) => {
                    consumer.incremental_assign(&TopicPartitionList::new())
                }
                (_, RebalanceProtocol::Cooperative) => consumer.incremental_unassign(list),
                _ => consumer.unassign(),
            };
            if let Err(error) = given {
                tracing::debug!(%error, "kafka: there was nothing to give back");
            }
            return;
        }
        let partitions = list.elements().iter().map(|e| (e.topic().to_owned(), e.partition())).collect();
        heard.rebalances.push_back(match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Rebalance::Assign(partitions),
            _ => Rebalance::Revoke { partitions, lost: consumer.assignment_lost() },
        });
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        let each = offsets.elements().iter().try_for_each(|element| element.error());
        self.heard().commits.push(result.and(each));
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("address", &self.address).finish_non_exhaustive()
    }
}
