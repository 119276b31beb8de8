use std::fmt;
use std::io;
use std::sync::Arc;

use micro_core::tls::ServerTls;
use micro_core::{Error, Kind, Result};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::connector::internal;
use crate::files;
use crate::watched::Watched;

/// The server's side.
pub struct Acceptor {
    tls: ServerTls,
    config: Watched<ServerConfig>,
}

impl Acceptor {
    /// Reads the files, for connections that speak one of these protocols (ALPN: `h2`).
    ///
    /// # Errors
    ///
    /// [`Kind::Config`] naming the file that cannot be used.
    pub fn new(tls: ServerTls, protocols: &[&str]) -> Result<Self> {
        let own = tls.get_identity();
        let mut files = vec![own.certificate.clone(), own.key.clone()];
        files.extend(tls.get_client_authority().map(ToOwned::to_owned));
        let (from, protocols) =
            (tls.clone(), protocols.iter().map(|name| name.as_bytes().to_vec()).collect::<Vec<_>>());
        let config = Watched::new(files, move || made(&from, protocols.clone()));
        config.get()?;
        Ok(Self { tls, config })
    }

    /// Begins to speak TLS on a connection. The caller limits the time.
    ///
    /// # Errors
    ///
    /// If the client does not speak TLS, or has no certificate where it needs one.
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> io::Result<TlsStream<S>> {
        let config = self.config.get().map_err(io::Error::other)?;
        TlsAcceptor::from(config).accept(stream).await
    }
}

fn made(tls: &ServerTls, protocols: Vec<Vec<u8>>) -> Result<ServerConfig> {
    let own = tls.get_identity();
    let provider = files::provider();
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(internal)?;
    let builder = match tls.get_client_authority() {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let authorities = Arc::new(files::authorities(Some(file))?);
            let verifier = WebPkiClientVerifier::builder_with_provider(authorities, provider).build();
            let verifier = verifier.map_err(|error| {
                Error::new(Kind::Config, format!("{} cannot be used to know clients by", file.display())).source(error)
            })?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let (certificates, key) = files::identity(own)?;
    let mut config = builder
        .with_single_cert(certificates, key)
        .map_err(|error| files::unusable(&own.certificate, &error.to_string()))?;
    config.alpn_protocols = protocols;
    Ok(config)
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Acceptor").field(&self.tls).finish()
    }
}
