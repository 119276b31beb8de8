//! How a server stops.

use std::time::{Duration, Instant};

use micro_core::Kind;
use micro_rpc::Client;

use crate::raw::{Raw, eventually, frame};
use crate::world::{Text, options, start, text, world};

// features: A7
#[tokio::test]
async fn a_graceful_stop_lets_running_calls_finish() {
    let world = world().await;
    let (client, address) = (world.client.clone(), world.address.clone());
    let request = text("500");
    let call =
        tokio::spawn(async move { client.call::<Text, Text>("g", "Greeter.Sleep", &request).address(address).await });
    let stats = world.running.stats();
    eventually("the call runs", || stats.in_flight() == 1).await;
    let began = Instant::now();
    assert_eq!(world.running.stop(Duration::from_secs(60)).await, 0);
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(call.await.unwrap().unwrap().text, "slept");
}

// features: A7
#[tokio::test]
async fn what_is_not_finished_at_the_limit_is_cut_off() {
    let world = world().await;
    let (client, address) = (world.client.clone(), world.address.clone());
    let call = tokio::spawn(async move {
        let request = text("60000");
        let call = client.call::<Text, Text>("g", "Greeter.Sleep", &request).address(address);
        call.timeout(Duration::from_secs(60)).retries(0).await
    });
    let stats = world.running.stats();
    eventually("the call runs", || stats.in_flight() == 1).await;
    assert_eq!(world.running.stop(Duration::from_millis(100)).await, 1);
    assert_eq!(call.await.unwrap().unwrap_err().kind(), Kind::Unavailable);
    eventually("the handler is dropped", || stats.in_flight() == 0).await;
}

#[tokio::test]
async fn a_stopped_server_takes_no_connection() {
    let world = world().await;
    world.running.stop(Duration::from_secs(10)).await;
    assert!(tokio::net::TcpStream::connect(&world.address).await.is_err());
}

#[tokio::test]
async fn a_server_restarted_at_its_address_is_called_without_an_error() {
    // One try a call: moving to the new connection uses none up.
    let client = Client::builder().retries(0).build();
    let mut world = world().await;
    let address = world.address.clone();
    for _ in 0..5 {
        let request = text("x");
        let call = client.call::<Text, Text>("g", "Greeter.Greet", &request).address(&*address);
        call.await.unwrap();
        world.running.stop(Duration::from_secs(10)).await;
        world = start(options().address(&*address), crate::world::greeter()).await;
    }
}

#[tokio::test]
async fn calls_under_way_while_a_server_stops_all_get_their_answer() {
    let world = world().await;
    let stats = world.running.stats();
    let calls: Vec<_> = (0..200)
        .map(|i| {
            let (client, address) = (world.client.clone(), world.address.clone());
            tokio::spawn(async move {
                let request = text((i % 20).to_string());
                client
                    .call::<Text, Text>("g", "Greeter.Sleep", &request)
                    .address(address)
                    .timeout(Duration::from_secs(60))
                    .await
            })
        })
        .collect();
    eventually("calls run", || stats.requests() > 0).await;
    world.running.stop(Duration::from_secs(60)).await;
    for call in calls {
        // Those that began are finished; those that did not are refused, surely not run.
        match call.await.unwrap() {
            Ok(answer) => assert_eq!(answer.text, "slept"),
            Err(error) => assert_eq!(error.kind(), Kind::Refused, "{error}"),
        }
    }
}

#[tokio::test]
async fn a_dropped_server_stops_at_once() {
    let world = world().await;
    let mut raw = Raw::connect(&world.address).await;
    assert_eq!(raw.call("/Greeter/Greet", &[], frame(&text("x"))).await.status().0, "0");
    let stats = world.running.stats();
    drop(world.running);
    eventually("its connections are gone", || stats.connections() == 0).await;
}
