//! Which certificates a connection shows and believes: files, read by who opens the connection.

use std::path::{Path, PathBuf};

use crate::address::Address;
use crate::{Error, Kind, Result};

/// The parameters of an address that [`ClientTls::from_address`] reads, for
/// [`Address::check_params`](crate::address::Address::check_params).
pub const TLS_PARAMS: [&str; 5] = ["tls", "ca", "cert", "key", "verify"];

/// A certificate with its key, each a file in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Identity {
    /// The certificate first, then those between it and the authority.
    pub certificate: PathBuf,
    /// Its private key: PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
}

impl Identity {
    /// Names the files.
    #[must_use]
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { certificate: certificate.into(), key: key.into() }
    }
}

/// TLS as a client speaks it: by default it believes the authorities of the system and shows no certificate.
///
/// The files are read when a connection is opened, and again when they changed, so that certificates are renewed without a
/// restart.
///
/// # Examples
///
/// ```
/// use micro_core::tls::ClientTls;
///
/// let tls = ClientTls::new().authority("/etc/shop/ca.pem").identity("/etc/shop/orders.pem", "/etc/shop/orders.key");
/// assert!(tls.verifies());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientTls {
    authority: Option<PathBuf>,
    identity: Option<Identity>,
    server_name: Option<String>,
    verifies: bool,
}

impl Default for ClientTls {
    fn default() -> Self {
        Self::new()
    }
}

impl ClientTls {
    /// Creates it with the authorities of the system.
    #[must_use]
    pub fn new() -> Self {
        Self { authority: None, identity: None, server_name: None, verifies: true }
    }

    /// Believes the authorities of this PEM file, and no others.
    #[must_use]
    pub fn authority(mut self, file: impl Into<PathBuf>) -> Self {
        self.authority = Some(file.into());
        self
    }

    /// Shows this certificate to servers that ask for one (mTLS).
    #[must_use]
    pub fn identity(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.identity = Some(Identity::new(certificate, key));
        self
    }

    /// Expects this name in the certificate of every server, in place of the host that is dialled.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Believes any certificate: whoever answers may be anybody. For go-micro servers, which sign their own.
    #[must_use]
    pub fn without_verification(mut self) -> Self {
        self.verifies = false;
        self
    }

    /// As [`from_address`](Self::from_address), for a plugin with a scheme of its own for TLS (`etcds`): such an address asks for
    /// it, unless it says `tls=false`.
    ///
    /// # Errors
    ///
    /// As [`from_address`](Self::from_address).
    pub fn from_address_of(address: &Address, scheme: &str) -> Result<Option<Self>> {
        match address.param("tls") {
            None if address.scheme() == Some(scheme) => Self::from_address(&address.clone().with_param("tls", "true")),
            _ => Self::from_address(address),
        }
    }

    /// Reads `?tls=true&ca=…&cert=…&key=…&verify=false`; `None` if the address asks for no TLS.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`] for certificates without `tls=true`, and for one of `cert` and `key` without the other.
    pub fn from_address(address: &Address) -> Result<Option<Self>> {
        let refused = |text: &str| Err(Error::new(Kind::Config, text));
        let files = TLS_PARAMS[1..].iter().filter(|name| address.param(name).is_some()).count();
        if !address.parsed::<bool>("tls")?.unwrap_or(false) {
            return match files {
                0 => Ok(None),
                _ => refused("the address names certificates but asks for no TLS: add tls=true"),
            };
        }
        let mut tls = Self::new();
        tls.authority = address.param("ca").map(PathBuf::from);
        tls.verifies = address.parsed("verify")?.unwrap_or(true);
        tls.identity = match (address.param("cert"), address.param("key")) {
            (Some(certificate), Some(key)) => Some(Identity::new(certificate, key)),
            (None, None) => None,
            _ => return refused("the address has only one of cert and key: a certificate needs its key"),
        };
        Ok(Some(tls))
    }

    /// Returns the file of the authorities that are believed; `None` for those of the system.
    #[must_use]
    pub fn get_authority(&self) -> Option<&Path> {
        self.authority.as_deref()
    }

    /// Returns the certificate that is shown.
    #[must_use]
    pub fn get_identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Returns the name that every server must have.
    #[must_use]
    pub fn get_server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// Tells whether the server's certificate is looked at.
    #[must_use]
    pub fn verifies(&self) -> bool {
        self.verifies
    }
}

/// TLS as a server speaks it: with a certificate, and where asked only to clients that have one too.
///
/// The files are read when the server starts, and again when they changed: new connections get the new certificate, those
/// that are open go on.
///
/// # Examples
///
/// ```
/// use micro_core::tls::ServerTls;
///
/// let tls = ServerTls::new("/etc/shop/orders.pem", "/etc/shop/orders.key").client_authority("/etc/shop/ca.pem");
/// assert!(tls.get_client_authority().is_some());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTls {
    identity: Identity,
    client_authority: Option<PathBuf>,
}

impl ServerTls {
    /// Names the server's certificate and its key.
    #[must_use]
    pub fn new(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { identity: Identity::new(certificate, key), client_authority: None }
    }

    /// Serves only clients with a certificate of an authority of this PEM file (mTLS).
    #[must_use]
    pub fn client_authority(mut self, file: impl Into<PathBuf>) -> Self {
        self.client_authority = Some(file.into());
        self
    }

    /// Returns the server's certificate.
    #[must_use]
    pub fn get_identity(&self) -> &Identity {
        &self.identity
    }

    /// Returns the file of the authorities that clients need a certificate of.
    #[must_use]
    pub fn get_client_authority(&self) -> Option<&Path> {
        self.client_authority.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(address: &str) -> Result<Option<ClientTls>> {
        ClientTls::from_address(&Address::parse(address).unwrap())
    }

    #[test]
    fn an_address_says_which_certificates() {
        assert_eq!(read("etcd://h:1").unwrap(), None);
        assert_eq!(read("etcd://h:1?tls").unwrap(), Some(ClientTls::new()));
        let tls = read("etcd://h:1?tls=true&ca=/ca&cert=/c&key=/k&verify=false").unwrap().unwrap();
        assert_eq!(tls, ClientTls::new().authority("/ca").identity("/c", "/k").without_verification());
    }

    #[test]
    fn half_an_address_is_refused() {
        for (address, word) in [
            ("etcd://h:1?ca=/ca", "add tls=true"),
            ("etcd://h:1?tls=false&verify=false", "add tls=true"),
            ("etcd://h:1?tls=true&cert=/c", "needs its key"),
            ("etcd://h:1?tls=yes", "tls=yes"),
        ] {
            let error = read(address).unwrap_err().to_string();
            assert!(error.contains(word), "{address}: {error}");
        }
    }
}
