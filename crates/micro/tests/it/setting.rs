use std::sync::Arc;

use bytes::Bytes;
use micro::broker::{Broker, Memory};
use micro::prelude::{Context, Endpoint};
use micro::{Flag, Service};

use crate::support::{service, unique};

// features: A2, A3
#[tokio::test]
async fn a_flag_on_the_command_line_beats_the_code() {
    let name = unique("obedient");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let running = Service::builder(&name)
        .address(taken.local_addr().unwrap().to_string())
        .registry("memory")
        .broker("memory")
        .args(["--server_address", "127.0.0.1:0", "--server_metadata", "zone=b", "--server_id=9"])
        .metadata("zone", "a")
        .metadata("rack", "1")
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    let node = &running.record().nodes[0];
    assert_eq!((&*node.id, &*node.metadata["zone"], &*node.metadata["rack"]), (&*format!("{name}-9"), "b", "1"));
    running.stop().await.unwrap();
}

// features: D18
#[test]
fn a_broker_named_by_a_flag_beats_one_given_in_code() {
    let given: Arc<dyn Broker> = Arc::new(Memory::new());
    let by_code = service(&unique("a")).broker(Arc::clone(&given)).build().unwrap();
    assert!(Arc::ptr_eq(&by_code.broker(), &given));
    let by_flag = Service::builder(&unique("a"))
        .registry("memory")
        .broker(Arc::clone(&given))
        .args(["--broker", "memory"])
        .build()
        .unwrap();
    assert!(!Arc::ptr_eq(&by_flag.broker(), &given));
}

#[test]
fn a_program_has_flags_and_words_of_its_own() {
    let service = Service::builder("shop")
        .flag(Flag::new("limit", "Most orders at once").default("100"))
        .flag(Flag::new("currency", "Of the prices"))
        .registry("memory")
        .broker("memory")
        .args(["place", "--limit", "7", "apples"])
        .build()
        .unwrap();
    assert_eq!((service.flag("limit"), service.flag("currency")), (Some("7"), None));
    assert_eq!(service.args(), ["place", "apples"]);
    assert_eq!(service.flag_as::<u32>("limit").unwrap(), Some(7));
    let error = service.flag_as::<bool>("limit").unwrap_err();
    assert_eq!(error.to_string(), "the value \"7\" of --limit is no bool");
    let error = Service::builder("shop").flag(Flag::new("broker", "Mine")).args(false).build().unwrap_err();
    assert!(error.to_string().contains("--broker is one of the framework's"), "{error}");
}

#[test]
fn what_the_client_does_against_trouble_is_set_by_flags() {
    let with = |args: &[&str]| Service::builder("shop").registry("memory").broker("memory").args(args).build();
    with(&["--client_retry_budget=20%", "--client_hedge=50ms", "--client_breaker=on"]).unwrap();
    with(&["--client_concurrency=64", "--client_rate=500", "--client_retry_budget=off"]).unwrap();
    for (wrong, right) in [
        ("--client_retry_budget=20", "as 10%"),
        ("--client_hedge=fast", "as 50ms"),
        ("--client_breaker=maybe", "on or off"),
        ("--client_concurrency=0", "a number from 1"),
        ("--client_rate=-1", "calls a second"),
    ] {
        let error = with(&[wrong]).unwrap_err().to_string();
        assert!(error.contains(right), "{wrong}: {error}");
    }
}

#[tokio::test]
async fn a_rate_of_the_command_line_limits_the_calls() {
    let name = unique("slow");
    let running = service(&name).build().unwrap().start().await.unwrap();
    let args = ["--client_rate=1", "--client_request_timeout=100ms"];
    let caller = Service::builder("caller").registry("memory").broker("memory").args(args).build().unwrap().client();
    let health = || {
        let request = bytes::Bytes::from_static(b"{}");
        let caller = caller.clone();
        let name = name.clone();
        async move {
            let call = caller.call::<bytes::Bytes, bytes::Bytes>(&name, "Debug.Health", &request);
            call.content_type(micro::codec::Format::Json).await
        }
    };
    health().await.unwrap();
    assert_eq!(health().await.unwrap_err().kind(), micro::Kind::ResourceExhausted);
    running.stop().await.unwrap();
}

// features: A2
#[tokio::test]
async fn a_limit_of_an_endpoint_that_is_not_there_is_an_error_at_the_start_from_code_and_from_a_flag() {
    let code = service(&unique("limited")).endpoint_limit("Greeter.Gret", 1);
    let flag = service(&unique("limited")).args(["--server_endpoint_limits", "Greeter.Gret=1"]);
    for builder in [code, flag] {
        let mut service = builder.build().unwrap();
        service.handle(Endpoint::unary("Greeter.Greet", |_: Context, body: Bytes| async move { Ok(body) }));
        let error = service.start().await.unwrap_err();
        assert!(error.to_string().contains("\"Greeter.Gret\" is one of none: did you mean Greeter.Greet?"), "{error}");
    }
}
