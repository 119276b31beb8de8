//! An agent that speaks TLS, with who has a certificate.

use std::time::Duration;

use micro_core::Kind;
use micro_faults::Consul as Server;

use super::{finds, greeter, registry};

#[tokio::test]
async fn with_the_authority_and_a_certificate_everything_works_and_without_it_is_named() {
    let server = Server::start_with_tls().unwrap();
    let file = |name: &str| server.certificates().join(name).display().to_string();
    let (at, ca) = (server.tls_address(), file("ca.pem"));
    let (cert, key) = (file("client.pem"), file("client.key"));
    let other = file("other-ca.pem");
    let registered = registry(&format!("consuls://{at}?ca={ca}&cert={cert}&key={key}"));
    registered.register(&greeter(1), Duration::from_secs(60)).await.unwrap();
    finds(&registry(&format!("consul://{at}?tls=true&ca={ca}&cert={cert}&key={key}")), &[greeter(1)]).await;

    for (what, address, kind, word) in [
        ("no certificate", format!("consuls://{at}?ca={ca}"), Kind::Unavailable, "ertificate"),
        (
            "another authority",
            format!("consuls://{at}?ca={other}&cert={cert}&key={key}"),
            Kind::Unavailable,
            "ertificate",
        ),
        ("no TLS", format!("consul://{at}"), Kind::Config, "tls=true"),
        ("no such file", format!("consuls://{at}?ca=/nowhere.pem"), Kind::Config, "/nowhere.pem"),
        ("no PEM", format!("consuls://{at}?ca={}", file("consul.json")), Kind::Config, "consul.json"),
        ("a key of another", format!("consuls://{at}?ca={ca}&cert={ca}&key={key}"), Kind::Config, "ca.pem"),
    ] {
        let error = registry(&address).get("greeter").await.unwrap_err();
        assert_eq!(error.kind(), kind, "{what}: {error}");
        assert!(error.to_string().contains(word), "{what}: {error}");
    }
}
