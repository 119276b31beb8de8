//! TLS and accounts, against a server that has them.

use std::time::{Duration, Instant};

use micro_broker_kafka::{AccessToken, Kafka};
use micro_core::address::Address;
use micro_core::broker::{Broker, BrokerOptions, SubscribeOptions};
use micro_core::{Error, Kind};
use micro_faults::kafka::{Shared, shared};

use crate::world::{broker_at, handle, member, queue, texts, topic, within};

fn servers() -> Shared {
    shared().unwrap_or_else(|error| panic!("{error}"))
}

/// Publishes and takes by an address, so that everything has been allowed.
async fn round(broker: &Kafka) {
    let (topic, queue) = (topic("secure"), queue("q"));
    let mut one = within("subscription", broker.subscribe(&topic, member(&queue))).await.unwrap();
    within("receipts", broker.publish(&topic, texts("m", 3)).all()).await.unwrap();
    assert_eq!(handle(&mut *one, 3).await.len(), 3);
    within("disconnect", broker.disconnect()).await.unwrap();
}

async fn refused(address: &str) -> Error {
    let began = Instant::now();
    let error = within("answer", Kafka::at(address).unwrap().connect()).await.unwrap_err();
    // What waiting does not mend is said at once, within the ten seconds of the limit.
    assert!(began.elapsed() < Duration::from_secs(8), "{error}: {:?}", began.elapsed());
    assert!(!error.to_string().contains("secret"), "{error}");
    error
}

#[tokio::test]
async fn tls_with_the_right_authority_is_taken() {
    let servers = servers();
    round(&broker_at(&format!("kafkas://{}?replication=1&ca={}", servers.ssl(), servers.ca().display())).await).await;
}

#[tokio::test]
async fn scram_plain_and_tokens_are_taken_with_and_without_tls() {
    let servers = servers();
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"] {
        let ca = servers.ca();
        let tls = format!(
            "kafkas://alice:alice-secret@{}?replication=1&sasl={mechanism}&ca={}",
            servers.sasl_ssl(),
            ca.display()
        );
        round(&broker_at(&tls).await).await;
    }
    let plain = format!("kafka://alice:alice-secret@{}?replication=1&sasl=SCRAM-SHA-256", servers.sasl_plaintext());
    round(&broker_at(&plain).await).await;
}

/// A token as the server's test validator takes it: `{"alg":"none"}`, the account, and until when.
fn unsigned_token() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let encode = |text: String| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
    };
    let header = encode(r#"{"alg":"none"}"#.to_owned());
    let claims = encode(format!(r#"{{"sub":"alice","iat":{now},"exp":{}}}"#, now + 3600));
    format!("{header}.{claims}.")
}

#[tokio::test]
async fn an_access_token_is_asked_of_its_source() {
    let address = format!("kafka://{}?replication=1&sasl=OAUTHBEARER", servers().sasl_plaintext());
    let options = BrokerOptions::new().address(Address::parse(&address).unwrap());
    let broker = Kafka::with_options(options).unwrap().token_source(|| Ok(AccessToken::new("alice", unsigned_token())));
    within("connect", broker.connect()).await.unwrap();
    round(&broker).await;
}

#[tokio::test]
async fn a_wrong_password_is_unauthenticated_at_once() {
    let address = format!("kafka://alice:wrong-secret@{}?sasl=SCRAM-SHA-256", servers().sasl_plaintext());
    let error = refused(&address).await;
    assert_eq!(error.kind(), Kind::Unauthenticated);
    assert!(error.to_string().contains("look at the user, the password"), "{error}");
}

#[tokio::test]
async fn a_mechanism_that_the_server_has_not_is_named() {
    // On the plain listener nobody logs in.
    let error = refused(&format!("kafka://alice:alice-secret@{}", servers().bootstrap())).await;
    assert!(matches!(error.kind(), Kind::Unauthenticated | Kind::Unavailable), "{error}");
}

#[tokio::test]
async fn tls_to_a_plain_port_is_told_to_be_that() {
    let error = refused(&format!("kafkas://{}", servers().bootstrap())).await;
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.to_string().contains("look at ?tls="), "{error}");
}

#[tokio::test]
async fn plain_to_a_tls_port_says_what_it_met() {
    let address = format!("kafka://{}?connect_timeout_ms=3000", servers().ssl());
    let error = refused(&address).await;
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.to_string().contains("wants TLS or an account"), "{error}");
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    let servers = servers();
    let error = refused(&format!("kafkas://{}?ca={}", servers.ssl(), servers.other_ca().display())).await;
    assert!(error.to_string().contains("certificate"), "{error}");
    let error = refused(&format!("kafkas://{}?ca=/no/such/file.pem", servers.ssl())).await;
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.to_string().contains("ssl.ca.location"), "{error}");
}

#[tokio::test]
async fn an_account_without_rights_is_forbidden_and_told_what_it_may_not() {
    let servers = servers();
    let topic = topic("rights");
    let alice = broker_at(&format!("kafka://{}?replication=1", servers.bootstrap())).await;
    within("receipt", alice.publish(&topic, texts("m", 1)).first()).await.unwrap();
    let bob =
        broker_at(&format!("kafka://bob:bob-secret@{}?sasl=SCRAM-SHA-256&replication=1", servers.sasl_plaintext()))
            .await;
    let error = within("receipt", bob.publish(&topic, texts("m", 1)).first()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Forbidden, "{error}");
    assert!(error.to_string().contains(topic.as_str()) && error.to_string().contains("ACL"), "{error}");
    for options in [SubscribeOptions::new(), member(&queue("q"))] {
        let error = within("answer", bob.subscribe(&topic, options)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Forbidden, "{error}");
    }
    let error = within("answer", bob.transaction()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Forbidden, "{error}");
    bob.disconnect().await.unwrap();
    alice.disconnect().await.unwrap();
}
