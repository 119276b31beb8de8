use micro_conformance::registry::steps::*;
use micro_core::Kind;
use micro_core::registry::Registry;
use micro_faults::Nats as Server;

use crate::client::registry;

const ACCOUNTS: &str = r#"authorization {
  registry = { publish: ["micro.registry.nats.>", "_INBOX.>"], subscribe: ["micro.registry.nats.>", "_INBOX.>"] }
  nothing = { publish: ["other"], subscribe: ["other"] }
  users = [
    { user: alice, password: alice-secret, permissions: $registry }
    { user: bob, password: bob-secret, permissions: $nothing }
  ]
}"#;

#[tokio::test]
async fn an_account_or_a_token_lets_in_who_has_it() {
    let server = Server::start_with(ACCOUNTS).unwrap();
    let one = registry(&format!("nats://alice:alice-secret@{}", server.address()));
    one.register(&greeter("1", "a"), LONG).await.unwrap();
    assert_eq!(one.get("greeter").await.unwrap(), [greeter("1", "a")]);
    assert_eq!(watch(&one, None).await.1, [greeter("1", "a")]);
    let server = Server::start_with("authorization { token: hush-secret }").unwrap();
    let one = registry(&format!("nats://{}?token=hush-secret", server.address()));
    one.register(&greeter("1", "a"), LONG).await.unwrap();
    let error = registry(&format!("nats://{}?token=wrong-secret", server.address())).list().await.unwrap_err();
    let text = error.to_string();
    assert!(error.kind() == Kind::Unauthenticated && text.contains("token") && !text.contains("secret"), "{text}");
}

#[tokio::test]
async fn who_is_not_let_in_is_told_why_and_what_to_do_and_no_secret_is_shown() {
    let server = Server::start_with(ACCOUNTS).unwrap();
    for (account, kind, word) in [
        ("alice:wrong-secret@", Kind::Unauthenticated, "check user and password"),
        ("", Kind::Unauthenticated, "nats://user:password@host"),
        ("bob:bob-secret@", Kind::Forbidden, "micro.registry.nats.query"),
    ] {
        let registry = registry(&format!("nats://{account}{}", server.address()));
        for error in every_error(&registry).await {
            let text = error.to_string();
            assert!(error.kind() == kind && text.contains(word) && text.contains(&server.address()), "{text}");
            let shown = format!("{text} {error:?} {registry:?} {}", registry.address());
            assert!(!shown.contains("-secret"), "{shown}");
        }
    }
}

#[tokio::test]
async fn credentials_that_cannot_be_read_are_named() {
    let server = Server::start().unwrap();
    let error = registry(&format!("nats://{}?creds=/not/there.creds", server.address())).list().await.unwrap_err();
    assert!(error.kind() == Kind::Config && error.to_string().contains("/not/there.creds"), "{error}");
}

#[tokio::test]
async fn tls_is_spoken_with_a_server_of_the_right_authority_only() {
    let (secure, plain) = (Server::start_secure(false).unwrap(), Server::start().unwrap());
    let address = secure.address();
    let port = address.rsplit_once(':').unwrap().1;
    let good = registry(&format!("natss://localhost:{port}?ca={}", secure.ca().display()));
    good.register(&greeter("1", "a"), LONG).await.unwrap();
    let good = registry(&format!("nats://{address}?tls=true&ca={}", secure.ca().display()));
    assert_eq!(good.get("greeter").await.unwrap(), [greeter("1", "a")]);
    for (address, kind, word) in [
        (
            format!("natss://{address}?ca={}", secure.other_ca().display()),
            Kind::Unavailable,
            "name the authority's file",
        ),
        (format!("natss://{address}?tls=true"), Kind::Unavailable, "name the authority's file"),
        (format!("natss://{}?ca={}", plain.address(), secure.ca().display()), Kind::Unavailable, "leave out tls=true"),
        (format!("nats://{address}?wait_ms=100"), Kind::Unavailable, "add tls=true"),
        (format!("natss://{address}?ca=/not/there.pem"), Kind::Config, "/not/there.pem"),
    ] {
        let error = registry(&format!("{address}&timeout_ms=2000")).get("greeter").await.unwrap_err();
        assert!(error.kind() == kind && error.to_string().contains(word), "{address}: {error}");
    }
}

#[tokio::test]
async fn a_server_that_asks_for_certificates_gets_ours_and_without_one_says_so() {
    let server = Server::start_secure(true).unwrap();
    let address = format!("natss://{}?ca={}", server.address(), server.ca().display());
    let (certificate, key) = server.client_certificate();
    let good = registry(&format!("{address}&cert={}&key={}", certificate.display(), key.display()));
    good.register(&greeter("1", "a"), LONG).await.unwrap();
    assert_eq!(good.get("greeter").await.unwrap(), [greeter("1", "a")]);
    let error = registry(&format!("{address}&timeout_ms=2000")).get("greeter").await.unwrap_err();
    assert!(error.kind() == Kind::Unavailable && error.to_string().contains("name ours by cert="), "{error}");
}
