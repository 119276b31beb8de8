use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use crate::{Failure, Result};

const DAY: Duration = Duration::from_secs(86_400);

/// A certificate authority for tests, with what it signs in files of one folder.
///
/// # Examples
///
/// ```
/// use micro_faults::Authority;
///
/// let folder = tempfile::tempdir().unwrap();
/// let authority = Authority::in_folder(folder.path(), "shop").unwrap();
/// let server = authority.sign("orders", &["127.0.0.1", "orders.shop"]).unwrap();
/// assert!(server.certificate.exists() && server.key.exists() && authority.certificate().exists());
/// ```
#[derive(Debug)]
pub struct Authority {
    folder: PathBuf,
    name: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, each a file in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Signed {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// When a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Validity {
    /// From yesterday, for a year.
    Now,
    /// Until yesterday.
    Past,
    /// From tomorrow on.
    Future,
}

impl Authority {
    /// Makes a new one; its certificate is `<name>.pem` in the folder.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn in_folder(folder: &Path, name: &str) -> Result<Self> {
        let mut params = parameters(&[], name, Validity::Now)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().map_err(|error| failed(name, &error))?;
        let certificate = params.self_signed(&key).map_err(|error| failed(name, &error))?;
        let made = Self { folder: folder.to_owned(), name: name.to_owned(), issuer: Issuer::new(params, key) };
        write(&made.certificate(), &certificate.pem())?;
        Ok(made)
    }

    /// Returns the file of its own certificate: what the other side must believe.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.folder.join(format!("{}.pem", self.name))
    }

    /// Signs a certificate for these host names and IP addresses, good for servers and clients, as `<name>.pem` and
    /// `<name>.key`; what was there is replaced, as a renewal does it.
    ///
    /// # Errors
    ///
    /// If a file cannot be written.
    pub fn sign(&self, name: &str, hosts: &[&str]) -> Result<Signed> {
        self.sign_for(name, hosts, Validity::Now)
    }

    /// Signs one for another time.
    ///
    /// # Errors
    ///
    /// If a file cannot be written.
    pub fn sign_for(&self, name: &str, hosts: &[&str], validity: Validity) -> Result<Signed> {
        let mut params = parameters(hosts, name, validity)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().map_err(|error| failed(name, &error))?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(|error| failed(name, &error))?;
        let file = |ending: &str| self.folder.join(format!("{name}.{ending}"));
        let signed = Signed { certificate: file("pem"), key: file("key") };
        write(&signed.key, &key.serialize_pem())?;
        write(&signed.certificate, &certificate.pem())?;
        Ok(signed)
    }
}

fn parameters(hosts: &[&str], name: &str, validity: Validity) -> Result<CertificateParams> {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).map_err(|error| failed(name, &error))?;
    params.distinguished_name.push(DnType::CommonName, name);
    let now = SystemTime::now();
    let (from, to) = match validity {
        Validity::Now => (now - DAY, now + DAY * 365),
        Validity::Past => (now - DAY * 3, now - DAY),
        Validity::Future => (now + DAY, now + DAY * 3),
    };
    params.not_before = from.into();
    params.not_after = to.into();
    Ok(params)
}

/// Whole or not at all, since a running server may read it at any time.
fn write(file: &Path, text: &str) -> Result<()> {
    let new = file.with_extension("new");
    let written = fs::write(&new, text).and_then(|()| fs::rename(&new, file));
    written.map_err(|error| Failure::new(format!("cannot write {}: {error}", file.display())))
}

fn failed(name: &str, error: &rcgen::Error) -> Failure {
    Failure::new(format!("cannot make the certificate {name}: {error}"))
}
