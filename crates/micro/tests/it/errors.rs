use micro::{Kind, Service};

use crate::support::{service, unique};

#[tokio::test]
async fn an_address_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let error = service(&unique("late")).address(&address).build().unwrap().start().await.unwrap_err();
    let text = error.to_string();
    let port = taken.local_addr().unwrap().port();
    assert!(text.contains(&format!("port {port} is in use already (address {address})")), "{text}");
}

#[tokio::test]
async fn of_a_range_of_ports_the_first_free_one_is_taken() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let last = port.saturating_add(20);
    let address = format!("127.0.0.1:{port}-{last}");
    let running = service(&unique("flexible")).address(address).build().unwrap().start().await.unwrap();
    assert!((port + 1..=last).contains(&running.address().port()));
    running.stop().await.unwrap();
}

// features: D18
#[test]
fn an_unknown_plugin_lists_the_known_ones() {
    for (flag, kind) in [("--broker", "broker"), ("--registry", "registry"), ("--selector", "selector")] {
        let error = Service::builder("a").args([flag, "pigeon"]).build().unwrap_err();
        assert_eq!(error.kind(), Kind::UnknownPlugin);
        let text = error.to_string();
        assert!(text.starts_with(&format!("no {kind} in this program is named \"pigeon\"; known are: ")), "{text}");
    }
    let text = Service::builder("a").args(["--broker", "nats://127.0.0.1:4222"]).build().unwrap_err().to_string();
    assert!(text.contains("go-micro has a broker of that name, micro-rs has none yet"), "{text}");
}

#[test]
fn a_bad_flag_is_an_error_that_says_what_would_be_right() {
    let error = Service::builder("a").args(["--server_adress", ":1"]).build().unwrap_err();
    assert_eq!(error.kind(), Kind::Config);
    assert_eq!(error.to_string(), "the flag --server_adress is unknown; did you mean --server_address?");
}

#[cfg(feature = "broker-embedded")]
#[tokio::test]
async fn a_home_that_cannot_be_a_folder_is_named_at_the_start() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let home = file.path().join("micro");
    let error = service(&unique("homeless")).home(&home).broker("embedded").build().unwrap().start().await.unwrap_err();
    assert!(error.to_string().contains(home.to_str().unwrap()), "{error}");
}

#[tokio::test]
async fn two_endpoints_of_one_name_are_refused() {
    use bytes::Bytes;
    use micro::prelude::*;
    let mut service = service(&unique("double")).build().unwrap();
    for _ in 0..2 {
        service.handle(Endpoint::unary("Echo.Say", |_: Context, body: Bytes| async move { Ok(body) }));
    }
    let error = service.start().await.unwrap_err();
    assert!(error.to_string().contains("Echo.Say"), "{error}");
}
