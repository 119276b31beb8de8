//! The certificates of calls.

use micro_core::tls::{ClientTls, ServerTls};
use micro_core::{Error, Kind, Result};

use super::Layers;

/// Reads how the server speaks TLS, if it does.
pub(super) fn server(layers: &Layers) -> Result<Option<ServerTls>> {
    let of = |name: &str| layers.get(name);
    match (of("server_tls_cert"), of("server_tls_key"), of("server_tls_ca")) {
        (None, None, None) => Ok(None),
        (Some(certificate), Some(key), authority) => {
            let tls = ServerTls::new(certificate, key);
            Ok(Some(match authority {
                Some(file) => tls.client_authority(file),
                None => tls,
            }))
        }
        _ => Err(half("server_tls_cert and --server_tls_key")),
    }
}

/// Reads how the client speaks TLS, if it does: where it is told so, or any certificate is named.
pub(super) fn client(layers: &Layers) -> Result<Option<ClientTls>> {
    let of = |name: &str| layers.get(name);
    let mode = layers.read("client_tls", "on, off or unverified", |text| {
        ["on", "off", "unverified"].into_iter().find(|known| *known == text)
    })?;
    let files = ["client_tls_ca", "client_tls_cert", "client_tls_key"].map(of);
    let mut tls = ClientTls::new();
    match mode {
        Some("off") => return Ok(None),
        None if files == [None; 3] => return Ok(None),
        Some("unverified") => tls = tls.without_verification(),
        _ => {}
    }
    if let Some(file) = files[0] {
        tls = tls.authority(file);
    }
    if let Some(name) = of("client_tls_name") {
        tls = tls.server_name(name);
    }
    match (files[1], files[2]) {
        (Some(certificate), Some(key)) => Ok(Some(tls.identity(certificate, key))),
        (None, None) => Ok(Some(tls)),
        _ => Err(half("client_tls_cert and --client_tls_key")),
    }
}

fn half(pair: &str) -> Error {
    Error::new(Kind::Config, format!("--{pair} belong together: a certificate needs its key; give both, or none"))
}
