use micro_core::Kind;
use micro_core::registry::{Change, Registry};
use micro_faults::Etcd as Server;

use crate::client::registry;
use micro_conformance::registry::steps::*;

const ROOT: &str = "--user=root:root-secret";

#[tokio::test]
async fn an_account_that_may_is_let_in_and_its_token_is_renewed() {
    let server = Server::start().unwrap();
    server.ask_for_accounts("/micro/registry/").unwrap();
    let registry = registry(&format!("etcd://alice:alice-secret@{}", server.address()));
    registry.register(&greeter("1", "a"), LONG).await.unwrap();
    let (mut hears, _) = watch(&registry, Some("greeter")).await;
    registry.register(&greeter("1", "a"), LONG).await.unwrap();
    registry.deregister(&greeter("1", "a")).await.unwrap();
    assert_eq!(next(&mut hears).await, Change::Delete(greeter("1", "a")));

    // Tokens are of one state of the accounts.
    server.ctl(&[ROOT, "user", "add", "carol:carol-secret"]).unwrap();
    registry.register(&greeter("1", "b"), LONG).await.unwrap();
    // And are forgotten by a server that starts again.
    drop(hears);
    server.restart().unwrap();
    finds(&registry, &[greeter("1", "b")]).await;
    let (_, state) = watch(&registry, None).await;
    assert_eq!(state, [greeter("1", "b")]);
}

#[tokio::test]
async fn who_is_not_let_in_is_told_why_and_what_to_do_and_no_secret_is_shown() {
    let server = Server::start().unwrap();
    server.ask_for_accounts("/micro/registry/").unwrap();
    for (account, domain, kind, word) in [
        ("alice:wrong-secret@", "micro", Kind::Unauthenticated, "check user and password"),
        ("nobody:nobody-secret@", "micro", Kind::Unauthenticated, "check user and password"),
        ("", "micro", Kind::Unauthenticated, "etcd://user:password@host"),
        ("bob:bob-secret@", "micro", Kind::Forbidden, "--prefix=true readwrite /micro/registry/"),
        ("alice:alice-secret@", "other", Kind::Forbidden, "readwrite /micro/registry-other/"),
    ] {
        let registry = registry(&format!("etcd://{account}{}?domain={domain}", server.address()));
        for error in every_error(&registry).await {
            let text = error.to_string();
            assert!(
                error.kind() == kind && text.contains(word) && text.contains(&server.address()),
                "{account}: {text}"
            );
            let shown = format!("{text} {error:?} {registry:?} {}", registry.address());
            assert!(!shown.contains("-secret"), "{shown}");
        }
    }
    let leases = server.ctl(&[ROOT, "lease", "list"]).unwrap();
    assert!(leases.contains("found 0 leases"), "{leases}");
}

#[tokio::test]
async fn an_account_does_no_harm_where_none_is_asked_for() {
    let server = Server::start().unwrap();
    let registry = registry(&format!("etcd://alice:alice-secret@{}", server.address()));
    registry.register(&greeter("1", "a"), LONG).await.unwrap();
    // It is used from the moment that one is.
    server.ask_for_accounts("/micro/registry/").unwrap();
    registry.register(&greeter("1", "a"), LONG).await.unwrap();
    assert_eq!(registry.get("greeter").await.unwrap(), [greeter("1", "a")]);
}

#[tokio::test]
async fn tls_is_spoken_with_a_server_of_the_right_authority_only() {
    let (secure, plain) = (Server::start_secure().unwrap(), Server::start().unwrap());
    let address = secure.address();
    let good = registry(&format!("etcds://{address}?ca={}", secure.ca().display()));
    good.register(&greeter("1", "a"), LONG).await.unwrap();
    let (_, state) = watch(&good, Some("greeter")).await;
    assert_eq!(state, [greeter("1", "a")]);
    // By name, with an account besides.
    secure.ask_for_accounts("/micro/registry/").unwrap();
    let port = address.rsplit_once(':').unwrap().1;
    let good = format!("etcd://alice:alice-secret@localhost:{port}?tls=true&ca={}", secure.ca().display());
    assert_eq!(registry(&good).get("greeter").await.unwrap(), [greeter("1", "a")]);

    for (address, kind, word) in [
        (format!("etcds://{address}?ca={}", secure.other_ca().display()), Kind::Unavailable, "the right one by ca="),
        (format!("etcds://{address}"), Kind::Unavailable, "the right one by ca="),
        (format!("etcds://{}?ca={}", plain.address(), secure.ca().display()), Kind::Unavailable, "leave out tls=true"),
        (format!("etcd://{address}"), Kind::Unavailable, "add tls=true"),
        (format!("etcds://{address}?ca=/not/there.pem"), Kind::Config, "/not/there.pem"),
    ] {
        let error = registry(&format!("{address}{}timeout_ms=2000", if address.contains('?') { '&' } else { '?' }))
            .get("greeter")
            .await
            .unwrap_err();
        assert!(error.kind() == kind && error.to_string().contains(word), "{address}: {error}");
    }
}

#[tokio::test]
async fn a_server_that_asks_for_certificates_gets_ours_and_without_one_says_so() {
    let server = Server::start_asking_for_certificates().unwrap();
    let address = format!("etcds://{}?ca={}", server.address(), server.ca().display());
    let (certificate, key) = server.client_certificate();
    let good = registry(&format!("{address}&cert={}&key={}", certificate.display(), key.display()));
    good.register(&greeter("1", "a"), LONG).await.unwrap();
    assert_eq!(watch(&good, Some("greeter")).await.1, [greeter("1", "a")]);
    let error = registry(&format!("{address}&timeout_ms=2000")).get("greeter").await.unwrap_err();
    assert!(error.kind() == Kind::Unavailable && error.to_string().contains("cert= and key="), "{error}");
}
