use std::error::Error as StdError;
use std::io;

use micro_core::{Error, Kind};
use rustls::{AlertDescription, CertificateError, Error as Tls};

/// Says why a handshake failed, and what to do.
pub(crate) fn handshake(address: &str, error: io::Error) -> Error {
    let text = match cause(&error) {
        Some(tls) => format!("no TLS with {address}: {}", reason(tls)),
        None if is_end(&error) => {
            format!("{address} closed the connection in the TLS handshake; it may speak no TLS, or want a certificate")
        }
        None => format!("no TLS with {address}"),
    };
    Error::new(Kind::Unavailable, text).source(error)
}

/// The other side closed the connection; what it had not read makes that a reset.
fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(error.kind(), K::UnexpectedEof | K::ConnectionReset | K::ConnectionAborted | K::BrokenPipe)
}

/// Tells by the error of an open connection whether the other side refused our certificate, and how; TLS 1.3 says so only
/// after the handshake.
#[must_use]
pub fn rejected(error: &(dyn StdError + 'static)) -> Option<String> {
    match cause(error)? {
        Tls::AlertReceived(alert) => Some(alerted(*alert)),
        _ => None,
    }
}

/// Tells by the error of a connection that a library made why the two sides did not come together, and what to do; `None` if
/// TLS has no part in it.
#[must_use]
pub fn why(error: &(dyn StdError + 'static)) -> Option<String> {
    cause(error).map(reason)
}

/// The error of rustls in a chain of others.
fn cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Tls> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<Tls>() {
            return Some(tls);
        }
        // An I/O error hides what it was made of from `source`.
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

fn reason(error: &Tls) -> String {
    use CertificateError as C;
    match error {
        Tls::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => {
            format!("its certificate is out of date ({error}); renew it, or set the clock")
        }
        Tls::InvalidCertificate(C::NotValidYet | C::NotValidYetContext { .. }) => {
            format!("its certificate is not valid yet ({error}); see the clocks of both machines")
        }
        Tls::InvalidCertificate(C::NotValidForName | C::NotValidForNameContext { .. }) => {
            format!("its certificate is for another name ({error}); dial that name, or expect it by server_name")
        }
        Tls::InvalidCertificate(C::UnknownIssuer) => {
            "its certificate is of an authority that is not believed; name the authority's file".to_owned()
        }
        Tls::InvalidMessage(_) => "what it answers is no TLS; it may listen in plain".to_owned(),
        Tls::AlertReceived(alert) => alerted(*alert),
        other => other.to_string(),
    }
}

fn alerted(alert: AlertDescription) -> String {
    use AlertDescription as A;
    match alert {
        A::CertificateRequired => "it wants a certificate, and none was given: name ours and its key".to_owned(),
        A::CertificateExpired => "it found our certificate out of date; renew it".to_owned(),
        A::UnknownCA | A::BadCertificate | A::CertificateUnknown | A::UnsupportedCertificate | A::DecryptError => {
            format!(
                "it did not believe our certificate ({alert:?}); it must be of an authority that the server believes"
            )
        }
        other => format!("it ended the handshake ({other:?})"),
    }
}
