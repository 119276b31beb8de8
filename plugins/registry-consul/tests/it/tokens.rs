//! An agent that asks for a token.

use std::time::Duration;

use micro_core::Kind;
use micro_faults::Consul as Server;

use super::plain::put;
use super::{finds, greeter, registry};

const TTL: Duration = Duration::from_secs(60);

#[tokio::test]
async fn with_the_right_token_everything_works() {
    let server = Server::start_with_tokens().unwrap();
    for address in [
        format!("consul://{}?token={}", server.address(), server.token()),
        format!("consul://:{}@{}", server.token(), server.address()),
    ] {
        let registry = registry(&address);
        registry.register(&greeter(1), TTL).await.unwrap();
        registry.register(&greeter(1), TTL).await.unwrap();
        finds(&registry, &[greeter(1)]).await;
        assert!(registry.list().await.unwrap().contains(&"greeter".to_owned()));
        registry.deregister(&greeter(1)).await.unwrap();
        finds(&registry, &[]).await;
    }
}

#[tokio::test]
async fn a_wrong_token_is_named_and_not_shown() {
    let server = Server::start_with_tokens().unwrap();
    let wrong = "0d0f2c1e-1111-4222-8333-944445555666";
    let registry = registry(&format!("consul://{}?token={wrong}", server.address()));
    let errors = [
        registry.register(&greeter(1), TTL).await.unwrap_err(),
        registry.get("greeter").await.unwrap_err(),
        registry.list().await.unwrap_err(),
        registry.watch(None).await.unwrap_err(),
        registry.watch(Some("greeter")).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), Kind::Unauthenticated, "{error}");
        let text = format!("{error} {error:?}");
        assert!(text.contains(&server.address()) && text.contains("token") && !text.contains(wrong), "{text}");
    }
}

#[tokio::test]
async fn what_a_token_may_not_do_is_named_and_an_empty_answer_is_not_believed() {
    let server = Server::start_with_tokens().unwrap();
    let made: serde_json::Value = serde_json::from_str(&put(&server, "/v1/acl/token", "{}")).unwrap();
    let weak = made["SecretID"].as_str().unwrap();
    let with = registry(&format!("consul://{}?token={}", server.address(), server.token()));
    let weakly = registry(&format!("consul://{}?token={weak}", server.address()));
    for client in [&weakly, &registry(&format!("consul://{}", server.address()))] {
        let error = client.register(&greeter(1), TTL).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Forbidden, "{error}");
        assert!(error.to_string().contains("service:write") && !error.to_string().contains(weak), "{error}");
    }
    with.register(&greeter(1), TTL).await.unwrap();
    // Consul itself answers with an empty list.
    for error in [weakly.get("greeter").await.unwrap_err(), weakly.watch(Some("greeter")).await.unwrap_err()] {
        assert_eq!(error.kind(), Kind::Forbidden, "{error}");
        assert!(error.to_string().contains("service:read"), "{error}");
    }
}
