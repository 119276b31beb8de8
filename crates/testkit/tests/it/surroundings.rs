//! What a service in the kit has around it.

use micro::prelude::*;
use micro::{Kind, ServiceBuilder};
use micro_testkit::TestKit;

use crate::shop::{Order, Tape, has, orders, warehouse};

#[tokio::test]
async fn the_services_of_a_kit_call_and_hear_each_other() {
    let kit = TestKit::new();
    kit.start(orders(kit.builder("orders")).unwrap()).await.unwrap();
    kit.start(warehouse(kit.builder("warehouse"), Tape::default()).unwrap()).await.unwrap();
    let placed: Order = kit.call("orders", "Orders.Place", &Order::new("7")).await.unwrap();
    assert_eq!(placed, Order::new("7"));
    assert_eq!(kit.published::<Order>("orders.shipped").expect(1).await.unwrap(), [placed]);
}

#[tokio::test]
async fn a_generated_or_own_client_works_and_its_errors_are_the_services() {
    let kit = TestKit::new();
    kit.start(orders(kit.builder("orders")).unwrap()).await.unwrap();
    let client = kit.client();
    let missing = client.call::<Order, Order>("orders", "Orders.Burn", &Order::new("7")).await.unwrap_err();
    assert_eq!(missing.kind(), Kind::UnknownEndpoint);
}

#[tokio::test]
async fn two_kits_share_nothing() {
    let (one, other) = (TestKit::new(), TestKit::new());
    one.start(orders(one.builder("orders")).unwrap()).await.unwrap();
    let stranger = other.call::<Order, Order>("orders", "Orders.Place", &Order::new("7")).await.unwrap_err();
    assert_eq!(stranger.kind(), Kind::NoNode);
    one.publish("orders.created", &Order::new("7")).await.unwrap();
    other.published::<Order>("orders.created").none().await.unwrap();
    assert!(other.registry().list().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_production_says_of_its_surroundings_does_not_count_in_the_kit() {
    fn production(builder: ServiceBuilder) -> Result<Service> {
        builder
            .broker("kafka://prod:9092")
            .registry(micro::registry::Memory::default())
            .address(":8080")
            .http_address(":9090")
            .version("3")
            .build()
    }
    let kit = TestKit::new();
    let service = production(kit.builder("orders")).unwrap();
    assert_eq!((service.broker().name(), service.version()), ("memory", "3"));
    let started = kit.start(service).await.unwrap();
    assert!(started.address().ip().is_loopback() && started.address().port() != 8080, "{started:?}");
    let record = kit.registry().get("orders").await.unwrap();
    assert_eq!(record.len(), 1);
}

#[tokio::test]
async fn a_flag_of_the_programs_own_is_given_as_a_list() {
    let kit = TestKit::new();
    let flag = || micro::Flag::new("limit", "Most orders at once").default("100");
    let usual = kit.builder("orders").flag(flag()).build().unwrap();
    assert_eq!(usual.flag("limit"), Some("100"));
    let told = kit.builder("orders").args(["--limit", "7", "--broker", "kafka://prod:9092"]).flag(flag());
    let told = told.build().unwrap();
    assert_eq!((told.flag("limit"), told.broker().name()), (Some("7"), "memory"));
}

#[tokio::test]
async fn a_service_of_another_broker_is_refused() {
    let kit = TestKit::new();
    let foreign = Service::builder("orders").broker("memory").registry("memory").args(false).build().unwrap();
    let error = kit.start(foreign).await.unwrap_err();
    has(error, &["the service orders is not of this kit", "memory://default", "kit.builder(\"orders\")"]);
    let other = TestKit::new();
    let error = kit.start(orders(other.builder("orders")).unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidArgument);
}

#[tokio::test]
async fn a_service_runs_until_it_is_stopped_whether_or_not_its_handle_is_kept() {
    let kit = TestKit::new();
    let started = kit.start(orders(kit.builder("orders")).unwrap()).await.unwrap();
    drop(started.clone());
    kit.call::<Order, Order>("orders", "Orders.Place", &Order::new("1")).await.unwrap();
    started.stop().await.unwrap();
    let gone = kit.call::<Order, Order>("orders", "Orders.Place", &Order::new("2")).await.unwrap_err();
    assert_eq!(gone.kind(), Kind::NoNode);
    has(started.stop().await.unwrap_err(), &["the service orders does not run any more"]);
    // The test itself still publishes: its connection is its own.
    kit.publish("orders.created", &Order::new("3")).await.unwrap();
    kit.start(orders(kit.builder("orders")).unwrap()).await.unwrap();
    kit.call::<Order, Order>("orders", "Orders.Place", &Order::new("4")).await.unwrap();
    kit.stop().await.unwrap();
    let gone = kit.call::<Order, Order>("orders", "Orders.Place", &Order::new("5")).await.unwrap_err();
    assert_eq!(gone.kind(), Kind::NoNode);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_but_the_clock_works_on_several_threads() {
    let kit = TestKit::new();
    kit.start(orders(kit.builder("orders")).unwrap()).await.unwrap();
    kit.start(warehouse(kit.builder("warehouse"), Tape::default()).unwrap()).await.unwrap();
    for id in ["1", "2", "3"] {
        kit.call::<Order, Order>("orders", "Orders.Place", &Order::new(id)).await.unwrap();
    }
    kit.idle().await.unwrap();
    kit.published::<Order>("orders.shipped").within(std::time::Duration::ZERO).expect(3).await.unwrap();
}

#[test]
#[should_panic(expected = "write #[tokio::test] on the test")]
fn without_a_runtime_it_says_what_to_write() {
    let _ = TestKit::new();
}

#[test]
fn the_environment_is_not_read() {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "surroundings::the_services_of_a_kit_call_and_hear_each_other"])
        .env("MICRO_BROKER", "nats")
        .env("MICRO_SERVER_ADDRESS", "nonsense")
        .env("MICRO_CONFIG_FILE", "/no/such/file")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
