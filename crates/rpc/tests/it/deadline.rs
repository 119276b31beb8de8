//! Time limits: sent, kept, and shorter at each hop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use micro_core::{Context, Kind};
use micro_rpc::{Client, Endpoint};

use crate::raw::{Raw, eventually, frame};
use crate::world::{Text, options, start, text, world};

// features: B7
#[tokio::test]
async fn the_shorter_of_timeout_and_grpc_timeout_holds() {
    let world = world().await;
    let mut raw = Raw::connect(&world.address).await;
    for (headers, most) in [
        (&[("timeout", "10000000000")][..], Some(10_000)),
        (&[("grpc-timeout", "20S")], Some(20_000)),
        (&[("timeout", "10000000000"), ("grpc-timeout", "20S")], Some(10_000)),
        (&[("timeout", "20000000000"), ("grpc-timeout", "10S")], Some(10_000)),
        (&[("timeout", "soon")], None),
    ] {
        let answer = raw.call("/Greeter/Remaining", headers, frame(&text(""))).await;
        let left = String::from_utf8_lossy(&answer.body[7..]).parse::<u128>().ok();
        match most {
            Some(most) => assert!((most - 5_000..=most).contains(&left.unwrap()), "{headers:?} {left:?}"),
            None => assert_eq!(left, None, "{headers:?}"),
        }
    }
}

/// Tells when it is dropped.
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_handler_whose_time_is_over_is_dropped_and_answered_for() {
    let dropped = Arc::new(AtomicBool::new(false));
    let flag = dropped.clone();
    let hang = Endpoint::unary("Hang.Up", move |_, _: Text| {
        let guard = Dropped(flag.clone());
        async move {
            let _guard = guard;
            std::future::pending::<micro_core::Result<Text>>().await
        }
    });
    let world = start(options(), vec![hang]).await;
    let mut raw = Raw::connect(&world.address).await;
    let answer = raw.call("/Hang/Up", &[("timeout", "50000000")], frame(&text(""))).await;
    assert_eq!(answer.status().0, "4");
    assert!(
        answer.status().1.contains("\"code\":408")
            && answer.status().1.contains("Hang.Up did not finish within the 50ms")
    );
    eventually("the handler is dropped", || dropped.load(Ordering::SeqCst)).await;
}

#[tokio::test]
async fn a_call_without_an_answer_ends_by_its_time_and_says_where() {
    let world = world().await;
    let began = Instant::now();
    let request = text("60000");
    let call = world.client.call::<Text, Text>("greeter", "Greeter.Sleep", &request).address(&*world.address);
    let error = call.timeout(Duration::from_millis(100)).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Timeout, 408));
    assert!(began.elapsed() < Duration::from_secs(20));
    let shown = error.to_string();
    let told_by_client = shown.contains("Greeter.Sleep of service greeter had no answer within 100ms")
        && shown.contains(&format!("node {}, tries 1", world.address));
    let told_by_server = shown.contains("Greeter.Sleep did not finish within");
    assert!(told_by_client || told_by_server, "{shown}");
}

// features: B7
#[tokio::test]
async fn a_deadline_shrinks_from_hop_to_hop() {
    let greeter = world().await;
    let (client, address) = (Client::default(), greeter.address.clone());
    let hop = Endpoint::unary("Hop.Ask", move |_, request: Text| {
        let (client, address) = (client.clone(), address.clone());
        async move {
            tokio::time::sleep(Duration::from_millis(200)).await;
            client.call::<Text, Text>("greeter", "Greeter.Remaining", &request).address(address).await
        }
    });
    let hop = start(options(), vec![hop]).await;
    let request = text("");
    let call = greeter.client.call::<Text, Text>("hop", "Hop.Ask", &request).address(&*hop.address);
    let left: u64 = call.timeout(Duration::from_secs(4)).await.unwrap().text.parse().unwrap();
    assert!(left <= 3_800, "{left}");
}

#[tokio::test]
async fn a_call_is_not_made_when_the_callers_time_is_over() {
    let world = world().await;
    let context = Context::builder().timeout(Duration::ZERO).build();
    let request = text("");
    let call = world.client.call::<Text, Text>("greeter", "Greeter.Greet", &request).address(&*world.address);
    let error = call.context(&context).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout);
    assert!(error.to_string().contains("was not called"), "{error}");
    assert_eq!(world.running.stats().requests(), 0);
}

#[tokio::test]
async fn a_stream_ends_by_its_time_on_both_directions() {
    let world = world().await;
    let call = world.client.stream::<Text, Text>("greeter", "Greeter.Chat").address(&*world.address);
    let mut call = call.timeout(Duration::from_millis(100)).await.unwrap();
    let error = call.recv().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout, "{error}");
    assert!(call.send(&text("late")).await.is_err());
}

#[tokio::test]
async fn a_stream_has_no_deadline_of_itself() {
    let world = world().await;
    let mut raw = Raw::connect(&world.address).await;
    let (_, mut stream) = raw.open("/Greeter/Chat", &[]).await;
    stream.send_data(frame(&text("x")), false).unwrap();
    let client = Client::builder().timeout(Duration::from_millis(50)).build();
    let mut call = client.stream::<Text, Text>("greeter", "Greeter.Chat").address(&*world.address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    call.send(&text("still here")).await.unwrap();
    assert_eq!(call.recv().await.unwrap().unwrap().text, "re: still here");
}
