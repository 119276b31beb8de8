use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use micro::broker::{Broker, Memory, Message, Topic};
use micro::prelude::*;
use tokio::sync::Notify;

use crate::support::{LIMIT, service, unique};

/// An endpoint that says when it runs, and takes its time.
fn slow(takes: Duration) -> (Endpoint, Arc<Notify>) {
    let running = Arc::new(Notify::new());
    let notify = Arc::clone(&running);
    let endpoint = Endpoint::unary("Slow.Do", move |_: Context, body: Bytes| {
        let notify = Arc::clone(&notify);
        async move {
            notify.notify_one();
            tokio::time::sleep(takes).await;
            Ok(body)
        }
    });
    (endpoint, running)
}

// features: A7
#[tokio::test]
async fn a_call_in_flight_finishes_before_the_stop() {
    let name = unique("patient");
    let mut service = service(&name).build().unwrap();
    let (endpoint, running_call) = slow(Duration::from_millis(300));
    service.handle(endpoint);
    let client = service.client();
    let running = service.start().await.unwrap();
    let call = tokio::spawn({
        let name = name.clone();
        async move { client.call::<Bytes, Bytes>(&name, "Slow.Do", &Bytes::from_static(b"x")).retries(0).await }
    });
    running_call.notified().await;
    running.stop().await.unwrap();
    assert_eq!(call.await.unwrap().unwrap(), "x");
}

// features: A7
#[tokio::test]
async fn a_call_that_takes_longer_than_the_drain_limit_is_cut() {
    let name = unique("impatient");
    let mut service = service(&name).drain(Duration::from_millis(200)).build().unwrap();
    let (endpoint, running_call) = slow(Duration::from_secs(600));
    service.handle(endpoint);
    let client = service.client();
    let running = service.start().await.unwrap();
    let call = tokio::spawn({
        let name = name.clone();
        async move {
            let body = Bytes::new();
            client.call::<Bytes, Bytes>(&name, "Slow.Do", &body).timeout(LIMIT).retries(0).await
        }
    });
    running_call.notified().await;
    let began = Instant::now();
    // Whether a cut call is told as an error of the stop is the server's to say; that it ends is what counts here.
    let _ = running.stop().await;
    assert!(began.elapsed() < LIMIT / 2, "{:?}", began.elapsed());
    assert!(call.await.unwrap().is_err());
}

// features: A7
#[tokio::test]
async fn an_event_in_flight_is_settled_before_the_stop_and_the_rest_waits_for_the_next_start() {
    let (name, topic) = (unique("worker"), unique("jobs"));
    let world = Memory::new();
    let (done, started) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
    let start = async || {
        let (done, started) = (Arc::clone(&done), Arc::clone(&started));
        let handler = move |_: Context, _: Message| {
            let (done, started) = (Arc::clone(&done), Arc::clone(&started));
            async move {
                started.notify_one();
                tokio::time::sleep(Duration::from_millis(200)).await;
                done.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
        };
        let mut service = service(&name).broker(world.clone()).build().unwrap();
        service.subscribe(raw_subscriber(&topic, handler).queue("workers").concurrency(1));
        service.start().await.unwrap()
    };
    let running = start().await;
    let publisher = world.clone();
    publisher.connect().await.unwrap();
    let messages = (0..5).map(|i| Message::new(format!("job {i}"))).collect();
    let receipts = publisher.publish(&Topic::new(&topic).unwrap(), messages).await;
    assert!(receipts.iter().all(|receipt| receipt.is_ok()));

    started.notified().await;
    running.stop().await.unwrap();
    let first = done.load(Ordering::SeqCst);
    assert!((1..5).contains(&first), "{first} were done before the stop");

    let running = start().await;
    crate::support::until("the rest is done", async || done.load(Ordering::SeqCst) == 5).await;
    running.stop().await.unwrap();
    assert_eq!(done.load(Ordering::SeqCst), 5, "and none twice");
}

#[tokio::test]
async fn a_handler_may_publish_while_its_service_stops() {
    let (name, topic) = (unique("talker"), unique("said"));
    let world = Memory::new();
    let mut service = service(&name).broker(world.clone()).build().unwrap();
    let event = service.event::<Bytes>(&topic);
    let running_call = Arc::new(Notify::new());
    let notify = Arc::clone(&running_call);
    service.handle(Endpoint::unary("Talker.Say", move |_: Context, body: Bytes| {
        let (event, notify) = (event.clone(), Arc::clone(&notify));
        async move {
            notify.notify_one();
            tokio::time::sleep(Duration::from_millis(200)).await;
            event.publish(&body).await?;
            Ok(body)
        }
    }));
    let client = service.client();
    let running = service.start().await.unwrap();
    let call = tokio::spawn({
        let name = name.clone();
        async move { client.call::<Bytes, Bytes>(&name, "Talker.Say", &Bytes::from_static(b"bye")).await }
    });
    running_call.notified().await;
    running.stop().await.unwrap();
    assert_eq!(call.await.unwrap().unwrap(), "bye");
}
