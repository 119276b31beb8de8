//! Which content types a server reads.

use crate::raw::{Raw, frame, frame_bytes};
use crate::world::{text, world};

// features: B5, B15
#[tokio::test]
async fn the_content_type_decides_and_is_that_of_the_answer() {
    let world = world().await;
    let mut raw = Raw::connect(&world.address).await;
    for content_type in ["application/grpc", "application/grpc+proto"] {
        let answer = raw.call("/Greeter/Greet", &[("content-type", content_type)], frame(&text("John"))).await;
        assert_eq!(
            (answer.body, answer.head["content-type"].as_str()),
            (frame(&text("Hello John")).to_vec(), content_type)
        );
    }
    let json = [("content-type", "application/grpc+json")];
    let answer = raw.call("/Greeter/Greet", &json, frame_bytes(br#"{"text":"John"}"#)).await;
    assert_eq!(answer.body, frame_bytes(br#"{"text":"Hello John"}"#));
    assert_eq!(answer.head["content-type"], "application/grpc+json");
}

#[tokio::test]
async fn x_content_type_is_not_looked_at() {
    let world = world().await;
    let mut raw = Raw::connect(&world.address).await;
    let headers = [("x-content-type", "application/grpc+json")];
    assert_eq!(raw.call("/Greeter/Greet", &headers, frame(&text("John"))).await.status().0, "0");
}

#[tokio::test]
async fn an_unknown_kind_of_grpc_is_answered_as_go_micro_does() {
    let world = world().await;
    let mut raw = Raw::connect(&world.address).await;
    for content_type in ["application/grpc+foo", "application/grpc+protobuf", "application/grpc;charset=utf-8"] {
        let answer = raw.call("/Greeter/Greet", &[("content-type", content_type)], frame(&text("John"))).await;
        let message = format!(
            r#"{{"id":"go.micro.server","code":500,"detail":"Unsupported Content-Type: {content_type}","status":"Internal Server Error"}}"#
        );
        assert_eq!(answer.status(), ("2", &*message));
        assert_eq!(answer.get("grpc-status-details-bin"), "");
    }
}

#[tokio::test]
async fn what_is_no_grpc_is_answered_by_http_415() {
    let world = world().await;
    let mut raw = Raw::connect(&world.address).await;
    for content_type in ["application/json", "text/plain"] {
        let answer = raw.call("/Greeter/Greet", &[("content-type", content_type)], frame_bytes(b"{}")).await;
        assert_eq!((answer.http, answer.status().0), (415, ""), "{content_type}");
    }
}
