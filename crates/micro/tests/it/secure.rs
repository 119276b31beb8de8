//! A service over TLS, by code and by flags.

use bytes::Bytes;
use micro::codec::Format;
use micro::tls::{ClientTls, ServerTls};
use micro::{Client, Kind, Service};
use micro_faults::Authority;

use crate::support::{service, unique};

async fn health(client: Client, name: &str) -> micro::Result<()> {
    let request = Bytes::from_static(b"{}");
    client.call::<Bytes, Bytes>(name, "Debug.Health", &request).content_type(Format::Json).await.map(drop)
}

// features: B16
#[tokio::test]
async fn services_with_certificates_call_each_other_and_nobody_else_calls_them() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::in_folder(folder.path(), "shop").unwrap();
    let own = authority.sign("orders", &["127.0.0.1"]).unwrap();
    let name = unique("orders");
    let secure = |name: &str| {
        service(name)
            .server_tls(&ServerTls::new(&own.certificate, &own.key).client_authority(authority.certificate()))
            .client_tls(&ClientTls::new().authority(authority.certificate()).identity(&own.certificate, &own.key))
    };
    let orders = secure(&name).build().unwrap().start().await.unwrap();
    let caller = secure(&unique("caller")).build().unwrap();
    health(caller.client(), &name).await.unwrap();
    let stranger = service(&unique("stranger")).build().unwrap();
    assert_eq!(health(stranger.client(), &name).await.unwrap_err().kind(), Kind::Unavailable);
    orders.stop().await.unwrap();
}

// features: B16
#[tokio::test]
async fn flags_name_the_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::in_folder(folder.path(), "shop").unwrap();
    let own = authority.sign("orders", &["orders.shop"]).unwrap();
    let (certificate, key) = (own.certificate.to_str().unwrap(), own.key.to_str().unwrap());
    let name = unique("orders");
    let with = |name: &str, args: &[&str]| {
        Service::builder(name).registry("memory").broker("memory").address("127.0.0.1:0").args(args).build().unwrap()
    };
    let flags = ["--server_tls_cert", certificate, "--server_tls_key", key];
    let orders = with(&name, &flags).start().await.unwrap();
    let ca = authority.certificate();
    let flags = ["--client_tls_ca", ca.to_str().unwrap()];
    let named = with(&unique("caller"), &[&flags[..], &["--client_tls_name=orders.shop"]].concat());
    health(named.client(), &name).await.unwrap();
    let error = health(with(&unique("caller"), &flags).client(), &name).await.unwrap_err();
    assert!(error.to_string().contains("for another name"), "{error}");
    health(with(&unique("caller"), &["--client_tls", "unverified"]).client(), &name).await.unwrap();
    orders.stop().await.unwrap();
}

#[tokio::test]
async fn a_certificate_without_its_key_or_file_is_named() {
    for args in [["--server_tls_cert", "/x.pem"], ["--client_tls_key", "/x.key"]] {
        let error = Service::builder("shop").registry("memory").broker("memory").args(args).build().unwrap_err();
        assert!(error.to_string().contains("belong together"), "{error}");
    }
    let args = ["--server_tls_cert=/nowhere/x.pem", "--server_tls_key=/nowhere/x.key"];
    let service = service(&unique("shop")).args(args).build().unwrap();
    let error = service.start().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.to_string().contains("/nowhere/x."), "{error}");
}
