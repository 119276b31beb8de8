use std::fmt;

use micro_core::{Error, Kind, Retry};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// The answer of a broker that is not connected, or not any more.
pub(crate) fn closed() -> Error {
    Error::new(Kind::Closed, "the Kafka broker is not connected; call connect() first")
}

/// Returns the library's code of an error, where it has one.
pub(crate) fn code(error: &KafkaError) -> Option<Code> {
    match error {
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    }
}

/// Turns an error of the client library into ours: what was tried, why it failed, what to do next.
pub(crate) fn convert(tried: impl fmt::Display, error: &KafkaError) -> Error {
    match error {
        // The value may be a password: only the name is told.
        KafkaError::ClientConfig(_, text, name, _) => {
            Error::new(Kind::Config, format!("{tried}: the setting {name} is refused: {}", text.trim()))
        }
        KafkaError::ClientCreation(text) => Error::new(Kind::Config, format!("{tried}: {}", text.trim())),
        other => match code(other) {
            Some(code) => of_code(tried, code),
            None => Error::new(Kind::Unknown, format!("{tried}: {other}")),
        },
    }
}

/// Turns a code of the protocol into an error.
pub(crate) fn of_code(tried: impl fmt::Display, code: Code) -> Error {
    let (kind, help) = meaning(code);
    let text = match help {
        "" => format!("{tried}: {}", text(code)),
        help => format!("{tried}: {}; {help}", text(code)),
    };
    let error = Error::new(kind, text);
    match code {
        Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend => {
            error.with_retry(Retry::After(std::time::Duration::from_secs(1)))
        }
        _ => error,
    }
}

/// The library's own sentence, without the "Broker: " or "Local: " before it.
fn text(code: Code) -> String {
    let text = code.to_string();
    match text.split_once(" (") {
        Some((_, sentence)) => sentence.trim_end_matches(')').to_owned(),
        None => text,
    }
}

fn meaning(code: Code) -> (Kind, &'static str) {
    match code {
        Code::BrokerTransportFailure | Code::AllBrokersDown | Code::NodeUpdate | Code::NetworkException => {
            (Kind::Unavailable, "look whether the servers are up and the address is right")
        }
        Code::Resolve => (Kind::Unavailable, "the host name is unknown; look at the address"),
        Code::OperationTimedOut | Code::RequestTimedOut | Code::TimedOutQueue => {
            (Kind::Timeout, "look whether the servers are up and the address is right")
        }
        Code::MessageTimedOut => (
            Kind::Timeout,
            "the servers did not confirm it in time (?timeout_ms=): they are away, or have fewer in-sync copies than the topic's min.insync.replicas asks for; it may or may not be there",
        ),
        Code::SSL => (Kind::Unavailable, "look at ?tls= and ?ca=, and whether the port is the one for TLS"),
        Code::Authentication | Code::SaslAuthenticationFailed | Code::IllegalSASLState => {
            (Kind::Unauthenticated, "look at the user, the password and ?sasl=")
        }
        Code::UnsupportedSASLMechanism => (Kind::Unauthenticated, "the servers do not take this ?sasl= mechanism"),
        Code::TopicAuthorizationFailed => {
            (Kind::Forbidden, "the account may not do this with the topic; ask for an ACL")
        }
        Code::GroupAuthorizationFailed => {
            (Kind::Forbidden, "the account may not use this queue's group; ask for an ACL")
        }
        Code::ClusterAuthorizationFailed => {
            (Kind::Forbidden, "the account may not do this on the cluster; ask for an ACL")
        }
        Code::TransactionalIdAuthorizationFailed => {
            (Kind::Forbidden, "the account may not use this transactional id; ask for an ACL")
        }
        Code::UnknownTopic | Code::UnknownTopicOrPartition => {
            (Kind::NotFound, "create the topic, or let it be created by ?create=true")
        }
        Code::UnknownPartition => (Kind::NotFound, "the topic has no such partition"),
        Code::OffsetOutOfRange | Code::AutoOffsetReset => {
            (Kind::NotFound, "no message of that position is kept; begin at the earliest, the latest or a time")
        }
        Code::MessageSizeTooLarge | Code::InvalidMessageSize => {
            (Kind::TooLarge, "raise ?max_message_bytes= and the topic's max.message.bytes, or send a reference instead")
        }
        Code::QueueFull => (Kind::ResourceExhausted, "wait for ready() before publishing"),
        Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend => {
            (Kind::Unavailable, "fewer servers are up than the topic's min.insync.replicas asks for; start them")
        }
        Code::InconsistentGroupProtocol => (
            Kind::FailedPrecondition,
            "other members share this queue in another way, as go-micro's do: use another queue, or ?dialect=gomicro",
        ),
        Code::InvalidReplicationFactor => (Kind::Config, "there are fewer servers than ?replication= asks for"),
        Code::PolicyViolation => (Kind::Forbidden, "a policy of the cluster forbids it"),
        Code::InvalidTopic => (Kind::InvalidTopic, ""),
        Code::PurgeQueue | Code::PurgeInflight => {
            (Kind::Closed, "the broker was closed before the servers answered; the message may or may not be there")
        }
        Code::Conflict | Code::IllegalGeneration | Code::UnknownMemberId | Code::FencedInstanceId => {
            (Kind::Conflict, "another member has it now")
        }
        Code::InvalidArgument | Code::InvalidConfig => (Kind::InvalidArgument, ""),
        Code::UnsupportedFeature | Code::UnsupportedVersion => (Kind::Unsupported, "the servers are too old for it"),
        Code::Fatal
        | Code::OutOfOrderSequenceNumber
        | Code::DuplicateSequenceNumber
        | Code::UnknownProducerId
        | Code::InvalidProducerEpoch => (
            Kind::Unavailable,
            "the servers and this producer do not agree on what was sent; it may or may not be there, publish it again",
        ),
        Code::Fenced => (Kind::Conflict, "a newer program uses the same transactional id"),
        _ => (Kind::Unknown, ""),
    }
}
