//! `grpc.health.v1`.

use std::time::Duration;

use bytes::Bytes;
use micro_core::Kind;
use micro_core::codec::Format;

use crate::raw::{Raw, frame};
use crate::world::{text, world};

// features: B15
#[tokio::test]
async fn a_server_says_that_it_serves() {
    let world = world().await;
    let mut raw = Raw::connect(&world.address).await;
    for service in ["", "greeter", "Greeter", "some.package.Greeter"] {
        let answer = raw.call("/grpc.health.v1.Health/Check", &[], frame(&text(service))).await;
        assert_eq!((answer.status().0, &*answer.body), ("0", &[0, 0, 0, 0, 2, 8, 1][..]), "{service:?}");
    }
}

#[tokio::test]
async fn the_health_of_an_unknown_service_is_not_found() {
    let world = world().await;
    let request = Bytes::from_static(b"\x0a\x04nope");
    let call =
        world.client.call::<_, Bytes>("", "/grpc.health.v1.Health/Check", &request).content_type(Format::Protobuf);
    assert_eq!(call.address(&*world.address).await.unwrap_err().kind(), Kind::NotFound);
}

#[tokio::test]
async fn a_watcher_hears_that_the_server_stops() {
    let world = world().await;
    let request = Bytes::new();
    let call = world.client.server_stream::<_, Bytes>("", "/grpc.health.v1.Health/Watch", &request);
    let mut statuses = call.content_type(Format::Protobuf).address(&*world.address).await.unwrap();
    assert_eq!(statuses.recv().await.unwrap().unwrap(), &[8, 1][..]);
    assert_eq!(world.running.stop(Duration::from_secs(30)).await, 0);
    assert_eq!(statuses.recv().await.unwrap().unwrap(), &[8, 2][..]);
    assert!(statuses.recv().await.unwrap().is_none());
}
