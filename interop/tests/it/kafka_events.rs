//! Typed events between Rust and go-micro's own Kafka plug-in, both ways.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use micro::Service;
use micro::event::{Events, Subscribed, reject, subscriber};
use micro_core::broker::SubscribeOptions;
use micro_core::codec::Format;
use micro_core::{Context, Error, Kind, Result};
use micro_interop::proto::Request;

use crate::go_kafka::{GoEvent, GoSubscriber, go_publishes};
use crate::rust_kafka::{GO, NATIVE, broker, new_topic, server};
use crate::wait::{fresh, until};

fn request(name: &str, sleep_millis: i64) -> Request {
    Request { name: name.to_owned(), sleep_millis }
}

/// What a Rust subscriber saw: the value and the message's headers.
type Seen = Arc<Mutex<Vec<(Request, BTreeMap<String, String>)>>>;

/// A typed handler that keeps what it sees.
fn keeping(seen: &Seen) -> impl Fn(Context, Request) -> std::future::Ready<Result<()>> + Send + Sync + 'static {
    let seen = Arc::clone(seen);
    move |context: Context, request: Request| {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers = context.metadata().iter().map(|(name, value)| (text(name), text(value))).collect();
        seen.lock().unwrap().push((request, headers));
        std::future::ready(Ok(()))
    }
}

async fn subscribed(events: &Events, topic: &str, seen: &Seen) -> Subscribed {
    events.subscribe(subscriber(topic, keeping(seen))).await.expect("it is live")
}

// features: D11, D12, D14
#[tokio::test]
async fn struct_and_func_subscribers_of_go_get_typed_events_of_rust() {
    let broker = broker(GO).await;
    let (of_struct, of_func) = (new_topic(&broker, "rust.event.1").await, new_topic(&broker, "rust.event.2").await);
    let go = GoSubscriber::service(&[("-struct", of_struct.as_str()), ("-func", of_func.as_str())]).await;
    let events = Events::builder(broker).service("rust.publisher").build();
    for topic in [&of_struct, &of_func] {
        let event = events.event::<Request>(topic.as_str());
        event.publish(&request("John <é>", i64::MAX)).header("Tenant", "acme").await.unwrap();
        event.publish(&request("Jason", -1)).content_type(Format::Json).await.unwrap();
    }
    until("all arrive", async || go.events().len() == 4).await;
    let mut seen = go.events();
    seen.sort_by_key(|event| (event.by.clone(), event.sleep_millis));
    let values: Vec<_> =
        seen.iter().map(|event| (event.by.as_str(), event.name.as_str(), event.sleep_millis)).collect();
    assert_eq!(
        values,
        [
            ("func", "Jason", -1),
            ("func", "John <é>", i64::MAX),
            ("struct", "Jason", -1),
            ("struct", "John <é>", i64::MAX),
        ]
    );
    let tenant = |event: &GoEvent| event.metadata.as_ref().and_then(|seen| seen.get("Tenant").cloned());
    assert_eq!(tenant(&seen[1]).as_deref(), Some("acme"));
    assert_eq!(tenant(&seen[0]), None);
}

// features: D11, D13
#[tokio::test]
async fn the_content_type_of_a_rust_event_is_one_that_every_go_micro_server_reads() {
    let broker = broker(GO).await;
    let topic = new_topic(&broker, "rust.typed").await;
    let go = GoSubscriber::start(topic.as_str(), None).await;
    let event = Events::new(broker).event::<Request>(topic.as_str());
    event.publish(&request("John", 0)).await.unwrap();
    until("it arrives", async || go.messages().len() == 1).await;
    event.publish(&request("John", 0)).content_type(Format::Json).await.unwrap();
    until("both arrive", async || go.messages().len() == 2).await;
    let kinds = go.messages().into_iter().map(|message| message.header.expect("headers")["Content-Type"].clone());
    // Not `application/grpc+proto`: only a gRPC server reads that.
    assert_eq!(kinds.collect::<Vec<_>>(), ["application/protobuf", "application/json"]);
}

// features: D11, D13, D14
#[tokio::test]
async fn a_rust_subscriber_gets_typed_events_of_go_in_either_dialect() {
    let (of_go, native) = (broker(GO).await, broker(NATIVE).await);
    let topic = new_topic(&native, "go.event").await;
    let topic = topic.as_str();
    let (first, second) = (Seen::default(), Seen::default());
    let _first = subscribed(&Events::new(of_go), topic, &first).await;
    let _second = subscribed(&Events::new(native), topic, &second).await;
    for kind in [None, Some("application/protobuf"), Some("application/json")] {
        let mut arguments = vec!["-topic", topic, "-name", "John <{n}>", "-count", "2", "-header", "Tenant=a&b"];
        arguments.extend(kind.into_iter().flat_map(|kind| ["-content-type", kind]));
        go_publishes("kafka-event", &arguments).await;
    }
    for seen in [first, second] {
        until("all arrive", async || seen.lock().unwrap().len() == 6).await;
        let mut seen = seen.lock().unwrap().clone();
        let kind = |headers: &BTreeMap<String, String>| headers["Content-Type"].clone();
        seen.sort_by_key(|(request, headers)| (kind(headers), request.sleep_millis));
        let kinds = ["application/grpc+proto", "application/json", "application/protobuf"];
        let expected =
            kinds.into_iter().flat_map(|kind| (0..2).map(move |n| (request(&format!("John <{n}>"), n), kind)));
        for ((value, headers), (expected, expected_kind)) in seen.iter().zip(expected) {
            assert_eq!((value, kind(headers).as_str()), (&expected, expected_kind));
            let header = |name: &str| headers.get(name).map(String::as_str);
            assert_eq!((header("Tenant"), header("Micro-Topic")), (Some("a&b"), Some(topic)), "{headers:?}");
            assert_eq!(header("Micro-From-Service"), Some("go.peer.publisher"), "{headers:?}");
        }
    }
}

// features: D10
#[tokio::test]
async fn a_go_subscriber_reads_the_dead_letters_of_a_rust_queue() {
    let broker = broker(GO).await;
    let topic = new_topic(&broker, "go.refused").await;
    let dead = topic.dead();
    // Makes the topic: the Go plug-in makes none.
    let _reader = broker.subscribe(&dead, SubscribeOptions::new()).await.unwrap();
    let go = GoSubscriber::start(dead.as_str(), None).await;
    let queue = fresh("workers");
    let refuse = |_: Context, _: Request| std::future::ready(Err(reject(Error::new(Kind::Unknown, "not <today>"))));
    let _subscribed =
        Events::new(Arc::clone(&broker)).subscribe(subscriber(topic.as_str(), refuse).queue(&queue)).await.unwrap();
    go_publishes("kafka-event", &["-topic", topic.as_str(), "-name", "John"]).await;
    until("the dead letter arrives", async || go.messages().len() == 1).await;
    let letter = go.messages().remove(0);
    // The first field of the message, a text.
    assert_eq!(letter.text, "\n\u{4}John");
    let header = |name: &str| letter.header.as_ref().and_then(|headers| headers.get(name)).map(String::as_str);
    assert_eq!(header("Content-Type"), Some("application/grpc+proto"));
    assert_eq!((header("Micro-Dead-Topic"), header("Micro-Dead-Queue")), (Some(topic.as_str()), Some(queue.as_str())));
    assert_eq!(header("Micro-Dead-Reason"), Some("rejected"));
    assert!(header("Micro-Dead-Error").is_some_and(|error| error.contains("not <today>")), "{letter:?}");
}

// features: D14, D18
#[tokio::test]
async fn flags_alone_put_a_rust_service_into_a_go_fleet_on_kafka() {
    let topic = new_topic(&broker(NATIVE).await, "fleet").await;
    let topic = topic.as_str();
    let go = GoSubscriber::service(&[("-func", topic)]).await;
    let flags = ["--broker".to_owned(), "kafka".to_owned(), "--broker_address".to_owned(), format!("{}{GO}", server())];
    let mut service = Service::builder(&fresh("rust.fleet"))
        .address("127.0.0.1:0")
        .registry("memory")
        .args(flags.to_vec())
        .build()
        .expect("these settings are right");
    let seen = Seen::default();
    service.subscribe(subscriber(topic, keeping(&seen)).queue(fresh("fleet")));
    let event = service.event::<Request>(topic);
    let running = service.start().await.unwrap();
    event.publish(&request("of Rust", 1)).await.unwrap();
    go_publishes("kafka-event", &["-topic", topic, "-name", "of Go"]).await;
    let names = || seen.lock().unwrap().iter().map(|(request, _)| request.name.clone()).collect::<Vec<_>>();
    until("Rust has both", async || names().len() == 2).await;
    until("Go has both", async || go.events().len() == 2).await;
    running.stop().await.unwrap();
}
