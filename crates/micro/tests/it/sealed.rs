//! What a builder says last, and what a service is told of failures; as tests need it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use micro::broker::{Broker, Memory};
use micro::event::AfterFailure;
use micro::prelude::*;
use micro::{Error, Kind};

use crate::support::{LIMIT, service, unique, until};

#[test]
fn what_is_sealed_is_changed_neither_by_code_nor_by_a_flag() {
    let given: Arc<dyn Broker> = Arc::new(Memory::new());
    let sealed = || Service::builder("a").broker(Arc::clone(&given)).registry("memory").id("7").sealed();
    for builder in [
        sealed().broker(Memory::new()).id("8"),
        sealed().broker("kafka://prod").registry("etcd").sealed().id("8"),
        sealed().args(["--broker", "nats", "--server_id", "8", "--registry", "etcd"]),
        sealed().args(true),
    ] {
        let service = builder.build().unwrap();
        assert!(Arc::ptr_eq(&service.broker(), &given));
        assert_eq!((service.id(), service.registry().name()), ("a-7", "memory"));
    }
}

#[test]
fn what_is_not_sealed_is_said_as_ever() {
    let sealed = Service::builder("a").broker("memory").registry("memory").sealed();
    let service = sealed.version("1").args(["--server_version", "2"]).build().unwrap();
    assert_eq!((service.version(), service.broker().name()), ("2", "memory"));
}

#[tokio::test]
async fn a_service_is_told_of_its_handlers_failures() {
    let topic = unique("orders");
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = Arc::clone(&told);
    let on_failure = move |failure: &micro::event::HandlerFailure<'_>| {
        let retried = matches!(failure.next, AfterFailure::Retry(_));
        heard.lock().unwrap().push(format!("{} {retried}", failure.error));
    };
    let mut service = service(&unique("told")).broker(Memory::new()).on_failure(on_failure).build().unwrap();
    let fail = |_: Context, _: bytes::Bytes| async { Err(Error::new(Kind::Internal, "no tape")) };
    let retry = micro::event::RetryPolicy::new().attempts(2).pauses(Duration::ZERO, Duration::ZERO);
    service.subscribe(subscriber(&topic, fail).queue("q").retry(retry));
    let event = service.event::<bytes::Bytes>(&topic);
    let running = service.start().await.unwrap();
    event.publish(&bytes::Bytes::from_static(b"x")).await.unwrap();
    until("both failures are told", async || told.lock().unwrap().len() >= 2).await;
    assert_eq!(*told.lock().unwrap(), ["no tape true", "no tape false"]);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn an_abort_waits_for_no_handler_and_runs_no_hook() {
    let (name, topic) = (unique("aborted"), unique("orders"));
    let broker = Memory::new();
    broker.connect().await.unwrap();
    let other = broker.clone();
    let mut service = service(&name).broker(broker).drain(LIMIT * 10).build().unwrap();
    let (began, mut begun) = tokio::sync::mpsc::channel(1);
    let hang = move |_: Context, _: bytes::Bytes| {
        let began = began.clone();
        async move {
            began.send(()).await.ok();
            std::future::pending().await
        }
    };
    service.subscribe(subscriber(&topic, hang).queue("q"));
    service.before_stop(|| async { panic!("no hook runs") });
    let registry = service.registry();
    let event = service.event::<bytes::Bytes>(&topic);
    let running = service.start().await.unwrap();
    event.publish(&bytes::Bytes::from_static(b"x")).await.unwrap();
    begun.recv().await.unwrap();
    tokio::time::timeout(LIMIT, running.abort()).await.unwrap().unwrap();
    assert!(registry.get(&name).await.unwrap().is_empty());
    // What it had comes again, to another.
    let options = micro::broker::SubscribeOptions::new().queue(micro::broker::Queue::new("q").unwrap());
    let topic = micro::broker::Topic::new(&topic).unwrap();
    let mut subscription = other.subscribe(&topic, options).await.unwrap();
    let again = tokio::time::timeout(LIMIT, subscription.next(1)).await.unwrap().unwrap().unwrap();
    assert_eq!(again[0].deliveries(), Some(2));
}

#[tokio::test]
async fn handlers_of_calls_run_on_the_runtime_that_was_named() {
    let name = unique("elsewhere");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("mine").build().unwrap();
    let mut service = service(&name).runtime(runtime.handle().clone()).build().unwrap();
    service.handle(Endpoint::unary("Where.Am", |_: Context, _: bytes::Bytes| async move {
        Ok(bytes::Bytes::from(std::thread::current().name().unwrap_or_default().to_owned()))
    }));
    let client = service.client();
    let running = service.start().await.unwrap();
    let nothing = bytes::Bytes::new();
    let thread: bytes::Bytes = client.call(&name, "Where.Am", &nothing).await.unwrap();
    assert_eq!(thread, "mine");
    running.stop().await.unwrap();
    runtime.shutdown_background();
}
