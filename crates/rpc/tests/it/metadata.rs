//! What travels beside a message.

use std::sync::{Arc, Mutex};

use micro_core::context::Propagation;
use micro_core::{Context, Kind};
use micro_rpc::{Client, Endpoint};

use crate::raw::{self, Raw, frame};
use crate::world::{Text, options, start, text, world};

// features: B7
#[tokio::test]
async fn a_client_sends_what_go_micro_sends() {
    let seen = Arc::new(Mutex::new(None));
    let seen_there = seen.clone();
    let address = raw::serve(move |request, respond| {
        let mut headers = raw::map(request.headers());
        headers.insert(":path".into(), request.uri().path().into());
        headers.insert(":authority".into(), request.uri().authority().unwrap().to_string());
        headers.insert(":method".into(), request.method().to_string());
        *seen_there.lock().unwrap() = Some(headers);
        async move { raw::respond(respond, Some(frame(&text("x"))), &[("grpc-status", "0")]) }
    })
    .await;
    let client = Client::builder().name("shop").build();
    let request = text("x");
    let call = client.call::<Text, Text>("go.micro.srv.greeter", "Greeter.Greet", &request);
    call.address(&*address).metadata("Tenant", "acme").await.unwrap();
    let seen = seen.lock().unwrap().take().unwrap();
    for (name, value) in [
        (":method", "POST"),
        (":path", "/go.micro.srv.greeter.Greeter/Greet"),
        (":authority", &*address),
        ("content-type", "application/grpc+proto"),
        ("x-content-type", "application/grpc+proto"),
        ("te", "trailers"),
        ("timeout", "5000000000"),
        ("grpc-timeout", "5000000u"),
        ("micro-from-service", "shop"),
        ("tenant", "acme"),
    ] {
        assert_eq!(seen.get(name).map(String::as_str), Some(value), "{name} of {seen:?}");
    }
}

// features: B7
#[tokio::test]
async fn a_handler_finds_metadata_in_any_case() {
    let world = world().await;
    for name in ["tenant", "Tenant", "TENANT"] {
        let request = text("Tenant");
        let call = world.client.call::<Text, Text>("greeter", "Greeter.Metadata", &request);
        let answer = call.address(&*world.address).metadata(name, "acme").await.unwrap();
        assert_eq!(answer.text, "acme");
    }
}

#[tokio::test]
async fn a_handler_sees_the_caller_but_not_what_is_used_up() {
    let world = world().await;
    let mut raw = Raw::connect(&world.address).await;
    let headers = [
        ("timeout", "5000000000"),
        ("x-content-type", "application/json"),
        ("grpc-timeout", "5S"),
        ("user-agent", "me"),
    ];
    for (name, expected) in [
        ("timeout", "-"),
        ("x-content-type", "-"),
        ("grpc-timeout", "-"),
        ("user-agent", "me"),
        (":authority", &*world.address),
    ] {
        let answer = raw.call("/Greeter/Metadata", &headers, frame(&text(name))).await;
        assert_eq!(answer.body, frame(&text(expected)), "{name}");
    }
    let answer = raw.call("/Greeter/Metadata", &[], frame(&text("Remote"))).await;
    assert!(String::from_utf8_lossy(&answer.body).contains("127.0.0.1:"), "{answer:?}");
}

#[tokio::test]
async fn the_context_names_service_endpoint_and_peer() {
    let tell = Endpoint::unary("Who.Am", |context: Context, _: Text| async move {
        let current = Context::current();
        assert_eq!(current.endpoint(), context.endpoint());
        Ok(text(format!(
            "{} {} {}",
            context.service().unwrap(),
            context.endpoint().unwrap(),
            context.peer().unwrap().ip()
        )))
    });
    let world = start(options(), vec![tell]).await;
    let answer: Text = world.client.call("greeter", "Who.Am", &text("")).address(&*world.address).await.unwrap();
    assert_eq!(answer.text, "greeter Who.Am 127.0.0.1");
}

/// A service whose handler asks the greeter for a metadata value.
async fn hop(client: Client, greeter: String, forward: bool) -> crate::world::World {
    let endpoint = Endpoint::unary("Hop.Ask", move |_, request: Text| {
        let (client, greeter) = (client.clone(), greeter.clone());
        async move {
            let call = client.call::<Text, Text>("greeter", "Greeter.Metadata", &request).address(greeter);
            if forward { call.forward_authorization().await } else { call.await }
        }
    });
    start(options(), vec![endpoint]).await
}

#[tokio::test]
async fn authorization_goes_to_the_next_hop_only_when_asked() {
    let greeter = world().await;
    for (forward, expected) in [(false, "-"), (true, "Bearer x")] {
        let hop = hop(Client::default(), greeter.address.clone(), forward).await;
        let request = text("authorization");
        let call = greeter.client.call::<Text, Text>("hop", "Hop.Ask", &request);
        let answer = call.address(&*hop.address).metadata("authorization", "Bearer x").await.unwrap();
        assert_eq!(answer.text, expected);
    }
}

#[tokio::test]
async fn only_listed_metadata_goes_on() {
    let greeter = world().await;
    let client = Client::builder().propagation(Propagation::new(["Tenant".to_owned()])).build();
    let hop = hop(client, greeter.address.clone(), false).await;
    for (name, expected) in [("tenant", "acme"), ("cookie", "-"), ("other", "-")] {
        let request = text(name);
        let call = greeter.client.call::<Text, Text>("hop", "Hop.Ask", &request).address(&*hop.address);
        let answer = call.metadata("tenant", "acme").metadata("cookie", "c").metadata("other", "o").await.unwrap();
        assert_eq!(answer.text, expected, "{name}");
    }
}

#[tokio::test]
async fn the_trace_goes_on_with_a_span_of_its_own() {
    let greeter = world().await;
    let hop = hop(Client::default(), greeter.address.clone(), false).await;
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request = text("traceparent");
    let call = greeter.client.call::<Text, Text>("hop", "Hop.Ask", &request).address(&*hop.address);
    let seen = call.metadata("traceparent", parent).await.unwrap().text;
    assert_eq!((&seen[..36], &seen[52..]), (&parent[..36], "-01"));
    assert_ne!(seen, parent);
}

#[tokio::test]
async fn metadata_that_cannot_be_sent_is_refused_by_name() {
    let world = world().await;
    for (name, value) in [("content-type", "x"), ("grpc-status", "0"), ("line", "a\r\nb: c")] {
        let request = text("");
        let call = world.client.call::<Text, Text>("greeter", "Greeter.Greet", &request).address(&*world.address);
        let error = call.metadata(name, value).await.unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidArgument);
        assert!(error.to_string().contains(&format!("{name:?}")), "{error}");
    }
}

#[tokio::test]
async fn binary_metadata_arrives_byte_for_byte() {
    let see = Endpoint::unary("See.It", |context: Context, _: Text| async move {
        Ok(text(format!("{:?}", context.metadata().get("key-bin").unwrap())))
    });
    let world = start(options(), vec![see]).await;
    let request = text("");
    let call = world.client.call::<Text, Text>("s", "See.It", &request).address(&*world.address);
    let answer = call.metadata("key-bin", &[0_u8, 255, 10][..]).await.unwrap();
    assert_eq!(answer.text, "[0, 255, 10]");
}
