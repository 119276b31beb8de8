use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use micro_core::{Error, Kind};

/// Tells whether an answer says that there is nothing: no such name, or no such record of it.
pub(crate) fn is_nothing(error: &NetError) -> bool {
    let NetError::Dns(DnsError::NoRecordsFound(answer)) = error else { return false };
    matches!(answer.response_code, ResponseCode::NXDomain | ResponseCode::NoError)
}

/// Turns an error of the resolver into ours.
pub(crate) fn convert(name: &str, at: &str, error: &NetError) -> Error {
    let (kind, help) = match error {
        NetError::Timeout => (Kind::Timeout, "is the DNS server running, and may we reach it over UDP and TCP?"),
        NetError::Io(_) | NetError::NoConnections => (Kind::Unavailable, "is the DNS server running there?"),
        _ => (Kind::Unavailable, "see the log of the DNS server"),
    };
    Error::new(kind, format!("{name} was asked for at {at}: {error}; {help}"))
}

pub(crate) fn silent(name: &str, at: &str, limit: std::time::Duration) -> Error {
    let text = format!(
        "{name} was asked for at {at} and not answered within {} s; is the DNS server running, and may we reach it over UDP \
         and TCP?",
        limit.as_secs_f32()
    );
    Error::new(Kind::Timeout, text)
}
