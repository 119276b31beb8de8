//! Unary calls between our own client and server.

use bytes::Bytes;
use micro_core::Kind;
use micro_core::codec::Format;

use crate::world::{Text, text, world};

// features: B1
#[tokio::test]
async fn a_message_goes_and_its_answer_comes() {
    let world = world().await;
    let answer: Text =
        world.client.call("greeter", "Greeter.Greet", &text("John")).address(&*world.address).await.unwrap();
    assert_eq!(answer.text, "Hello John");
}

// features: B5
#[tokio::test]
async fn one_endpoint_takes_protobuf_and_json() {
    let world = world().await;
    for format in [Format::Protobuf, Format::Json] {
        let answer: Text = world
            .client
            .call("greeter", "Greeter.Greet", &text("John"))
            .address(&*world.address)
            .content_type(format)
            .await
            .unwrap();
        assert_eq!(answer.text, "Hello John");
    }
}

#[tokio::test]
async fn bytes_pass_untouched() {
    let world = world().await;
    let body = Bytes::from_static(b"\x00\xff any");
    let answer: Bytes = world.client.call("greeter", "Greeter.Echo", &body).address(&*world.address).await.unwrap();
    assert_eq!(answer, body);
}

// features: B12
#[tokio::test]
async fn an_error_comes_back_with_id_code_and_detail() {
    let world = world().await;
    let error = world
        .client
        .call::<Text, Text>("greeter", "Greeter.Fail", &text("no such é%"))
        .address(&*world.address)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.code(), error.get_id(), error.detail()),
        (Kind::NotFound, 404, "greeter", "no such é%")
    );
}
