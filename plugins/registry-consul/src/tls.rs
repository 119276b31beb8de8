use std::path::Path;
use std::sync::Arc;

use micro_core::{Error, Kind, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::config::Config;

/// Makes the TLS settings, with ring and without touching what the process has installed. An address without TLS gets
/// settings that trust nobody: the client wants some.
pub(crate) fn settings(config: &Config) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(Kind::Internal, "TLS has no version to speak").source(error))?;
    let builder = builder.with_root_certificates(roots(config)?);
    let Some((cert, key)) = &config.identity else { return Ok(builder.with_no_client_auth()) };
    let key_der = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable("the key", key, &error))?;
    builder.with_client_auth_cert(certificates(cert)?, key_der).map_err(|error| {
        let text = format!("the certificate {} and the key {} do not fit: {error}", cert.display(), key.display());
        Error::new(Kind::Config, text)
    })
}

/// Those of the file that the address names, else those of the system.
fn roots(config: &Config) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    if !config.tls {
        return Ok(roots);
    }
    let Some(ca) = &config.ca else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            let text =
                "this system trusts no authority that Consul's certificate could be of; name one by ?ca=file.pem";
            return Err(Error::new(Kind::Config, text));
        }
        return Ok(roots);
    };
    for certificate in certificates(ca)? {
        roots.add(certificate).map_err(|error| unreadable("the authority", ca, &error))?;
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let read = read.map_err(|error| unreadable("the certificate", file, &error))?;
    if read.is_empty() {
        return Err(unreadable("the certificate", file, &"there is none in it"));
    }
    Ok(read)
}

fn unreadable(what: &str, file: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::new(Kind::Config, format!("{what} in {} cannot be read as PEM: {error}", file.display()))
}
