use std::fmt;
use std::sync::Arc;

use micro_core::tls::ClientTls;
use micro_core::{Error, Kind, Result};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::unverified::Unverified;
use crate::watched::Watched;
use crate::{files, trouble};

/// The client's side.
pub struct Connector {
    tls: ClientTls,
    config: Watched<ClientConfig>,
}

impl Connector {
    /// Creates it for connections that speak one of these protocols (ALPN: `h2`). Reads nothing yet.
    #[must_use]
    pub fn new(tls: ClientTls, protocols: &[&str]) -> Self {
        let files = tls.get_authority().into_iter().map(ToOwned::to_owned);
        let own = tls.get_identity().into_iter().flat_map(|own| [own.certificate.clone(), own.key.clone()]);
        let (from, protocols) =
            (tls.clone(), protocols.iter().map(|name| name.as_bytes().to_vec()).collect::<Vec<_>>());
        let config = Watched::new(files.chain(own).collect(), move || made(&from, protocols.clone()));
        Self { tls, config }
    }

    /// Returns the configuration of rustls, of the files as they are now.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`] naming the file that cannot be used.
    pub fn config(&self) -> Result<Arc<ClientConfig>> {
        self.config.get()
    }

    /// Begins to speak TLS on a connection to `host:port`. The caller limits the time.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`] if the files cannot be used, [`Kind::Unavailable`] if the two sides do not come together, with the
    /// reason: out of date, another name, an authority that is not believed, no TLS at all.
    pub async fn connect(&self, address: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>> {
        let config = self.config()?;
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let host = self.tls.get_server_name().unwrap_or(host.trim_start_matches('[').trim_end_matches(']'));
        let name = ServerName::try_from(host.to_owned()).map_err(|error| {
            Error::new(Kind::Config, format!("{host:?} cannot be the name of a TLS server")).source(error)
        })?;
        let connected = TlsConnector::from(config).connect(name, stream).await;
        connected.map_err(|error| trouble::handshake(address, error))
    }
}

fn made(tls: &ClientTls, protocols: Vec<Vec<u8>>) -> Result<ClientConfig> {
    let provider = files::provider();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(internal)?;
    let builder = if tls.verifies() {
        builder.with_root_certificates(files::authorities(tls.get_authority())?)
    } else {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified(provider)))
    };
    let mut config = match tls.get_identity() {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let (certificates, key) = files::identity(own)?;
            builder
                .with_client_auth_cert(certificates, key)
                .map_err(|error| files::unusable(&own.certificate, &error.to_string()))?
        }
    };
    config.alpn_protocols = protocols;
    Ok(config)
}

pub(crate) fn internal(error: rustls::Error) -> Error {
    Error::new(Kind::Internal, "the TLS library refuses its own defaults").source(error)
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connector").field(&self.tls).finish()
    }
}
