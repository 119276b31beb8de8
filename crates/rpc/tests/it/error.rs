//! How errors cross the wire, both ways.

use bytes::Bytes;
use micro_core::{Error, Kind, Result};
use micro_rpc::{Client, Endpoint};

use crate::raw::{self, Raw, frame, frame_bytes};
use crate::world::{Text, options, start, text, world};

// features: B12
#[tokio::test]
async fn an_error_is_json_in_the_message_with_details_beside_it() {
    let world = world().await;
    let mut raw = Raw::connect(&world.address).await;
    let answer = raw.call("/Greeter/Fail", &[], frame(&text("no such é%"))).await;
    let message = r#"{"id":"greeter","code":404,"detail":"no such %C3%A9%25","status":"Not Found"}"#;
    assert_eq!((answer.http, answer.status()), (200, ("5", message)));
    assert!(!answer.get("grpc-status-details-bin").contains('='));
    assert!(answer.body.is_empty());
}

#[tokio::test]
async fn the_code_decides_the_status_by_go_micros_table() {
    let codes = [
        (400, "3"),
        (401, "16"),
        (403, "7"),
        (404, "5"),
        (408, "4"),
        (409, "6"),
        (412, "9"),
        (429, "2"),
        (500, "13"),
        (501, "12"),
        (502, "2"),
        (503, "14"),
    ];
    let fail = Endpoint::unary("Code.Fail", |_, request: Text| async move {
        Err::<Text, _>(Error::new(Kind::Unknown, "so told").with_code(request.text.parse().unwrap()))
    });
    let world = start(options(), vec![fail]).await;
    let mut raw = Raw::connect(&world.address).await;
    for (code, status) in codes {
        let answer = raw.call("/Code/Fail", &[], frame(&text(code.to_string()))).await;
        assert_eq!(answer.status().0, status, "{code}");
        assert!(answer.status().1.contains(&format!("\"id\":\"greeter\",\"code\":{code}")), "{:?}", answer.status());
    }
}

// features: B13
#[tokio::test]
async fn a_panic_is_a_500_and_process_and_connection_live_on() {
    let world = world().await;
    let mut raw = Raw::connect(&world.address).await;
    let answer = raw.call("/Greeter/Panic", &[], frame(&text("now"))).await;
    let message =
        r#"{"id":"go.micro.server","code":500,"detail":"panic recovered: boom","status":"Internal Server Error"}"#;
    assert_eq!(answer.status(), ("13", message));
    assert_eq!(answer.get("grpc-status-details-bin"), "");
    assert_eq!(raw.call("/Greeter/Panic", &[], frame(&text("fine"))).await.status().0, "0");
}

#[tokio::test]
async fn a_body_that_does_not_decode_names_the_type() {
    let world = world().await;
    let mut raw = Raw::connect(&world.address).await;
    let answer = raw.call("/Greeter/Greet", &[], frame_bytes(b"\xff\xff\xff")).await;
    assert_eq!(answer.status().0, "13");
    let error: Result<Text> = world
        .client
        .call("greeter", "Greeter.Greet", &Bytes::from_static(b"\xff"))
        .address(&*world.address)
        .content_type(micro_core::codec::Format::Protobuf)
        .await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), Kind::Decode);
    assert!(
        error.to_string().contains("the body is no protobuf message of type") && error.to_string().contains("Text"),
        "{error}"
    );
}

#[tokio::test]
async fn a_message_said_to_be_compressed_is_refused() {
    let world = world().await;
    let mut raw = Raw::connect(&world.address).await;
    let answer = raw.call("/Greeter/Greet", &[], Bytes::from_static(&[1, 0, 0, 0, 0])).await;
    assert_eq!(answer.status().0, "12");
    assert!(answer.status().1.contains("compressed"), "{:?}", answer.status());
}

#[tokio::test]
async fn a_format_the_type_does_not_have_lists_those_it_has() {
    let world = world().await;
    let mut raw = Raw::connect(&world.address).await;
    let answer = raw.call("/Greeter/Greet", &[("content-type", "application/grpc+bytes")], frame(&text("x"))).await;
    assert_eq!(answer.status().0, "13");
    assert!(answer.status().1.contains("has no bytes form; it has: proto, json"), "{:?}", answer.status());
}

// features: B15
#[tokio::test]
async fn the_status_of_a_plain_grpc_server_becomes_a_kind() {
    for (status, kind) in [
        ("1", Kind::Cancelled),
        ("3", Kind::InvalidArgument),
        ("4", Kind::Timeout),
        ("5", Kind::NotFound),
        ("6", Kind::Conflict),
        ("7", Kind::Forbidden),
        ("8", Kind::ResourceExhausted),
        ("9", Kind::FailedPrecondition),
        ("12", Kind::UnknownEndpoint),
        ("13", Kind::Internal),
        ("14", Kind::Unavailable),
        ("16", Kind::Unauthenticated),
        ("99", Kind::Unknown),
    ] {
        let address = raw::serve(move |_, respond| async move {
            raw::respond(respond, None, &[("grpc-status", status), ("grpc-message", "so it is%21")]);
        })
        .await;
        let client = Client::builder().retries(0).build();
        let error = client.call::<Text, Text>("s", "A.B", &text("")).address(&*address).await.unwrap_err();
        assert_eq!((error.kind(), error.detail()), (kind, "so it is!"), "{status}");
    }
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_named() {
    let world = world().await;
    let request = text("");
    let call = world.client.call::<Text, Text>("greeter", "Greeter.Nope", &request).address(&*world.address);
    let error = call.await.unwrap_err();
    assert_eq!((error.kind(), error.detail()), (Kind::UnknownEndpoint, "unknown service Greeter.Nope"));
}

#[tokio::test]
async fn an_answer_that_is_no_grpc_says_so() {
    let address = raw::serve(|_, mut respond| async move {
        let head = http::Response::builder().header("content-type", "text/html").body(()).unwrap();
        respond.send_response(head, true).unwrap();
    })
    .await;
    let error = Client::default().call::<Text, Text>("s", "A.B", &text("")).address(&*address).await.unwrap_err();
    assert_eq!(error.kind(), Kind::UnsupportedContentType);
    assert!(error.to_string().contains("\"text/html\""), "{error}");
}

#[tokio::test]
async fn an_answer_without_a_status_is_an_error() {
    let address = raw::serve(|_, respond| async move {
        raw::respond(respond, Some(frame(&text("x"))), &[("other", "1")]);
    })
    .await;
    let client = Client::builder().retries(0).build();
    let error = client.call::<Text, Text>("s", "A.B", &text("")).address(&*address).await.unwrap_err();
    assert!(error.to_string().contains("without a status"), "{error}");
}
