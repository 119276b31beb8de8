use std::path::Path;
use std::sync::Arc;

use micro_core::tls::Identity;
use micro_core::{Error, Kind, Result};
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Ring, given to each configuration by hand, so that no global default is needed or touched.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

pub(crate) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(certificates) if certificates.is_empty() => Err(unusable(file, "it holds no certificate in PEM")),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(unreadable(file, error)),
    }
}

pub(crate) fn identity(identity: &Identity) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let key = PrivateKeyDer::from_pem_file(&identity.key).map_err(|error| match error {
        pem::Error::NoItemsFound => unusable(&identity.key, "it holds no private key in PEM"),
        error => unreadable(&identity.key, error),
    })?;
    Ok((certificates(&identity.certificate)?, key))
}

/// The authorities of a file; without one, the system's.
pub(crate) fn authorities(file: Option<&Path>) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    let Some(file) = file else {
        let found = rustls_native_certs::load_native_certs();
        store.add_parsable_certificates(found.certs);
        if store.is_empty() {
            let text = "the system has no certificates of authorities; install them (ca-certificates), or name a file";
            return Err(Error::new(Kind::Config, text));
        }
        return Ok(store);
    };
    for certificate in certificates(file)? {
        store.add(certificate).map_err(|error| unusable(file, &error.to_string()))?;
    }
    Ok(store)
}

pub(crate) fn unusable(file: &Path, why: &str) -> Error {
    Error::new(Kind::Config, format!("the certificate file {} cannot be used: {why}", file.display()))
}

fn unreadable(file: &Path, error: pem::Error) -> Error {
    match error {
        pem::Error::Io(error) => {
            Error::new(Kind::Config, format!("the certificate file {} cannot be read", file.display())).source(error)
        }
        error => unusable(file, &error.to_string()),
    }
}
