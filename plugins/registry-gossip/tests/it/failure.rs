use std::net::UdpSocket;
use std::time::Duration;

use micro_core::Kind;
use micro_core::registry::Registry;
use micro_registry_gossip::Gossip;
use tokio::time::Instant;

use crate::cluster::*;

#[test]
fn making_one_opens_nothing() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let registry = registry(&format!("gossip://?listen={taken}"));
    let _free = UdpSocket::bind(taken).unwrap();
    assert_eq!((registry.name(), registry.address()), ("gossip", format!("{taken} without seeds")));
    assert_eq!(Gossip::new().unwrap().address(), "127.0.0.1:7946 without seeds");
}

#[tokio::test]
async fn a_port_that_another_has_is_a_named_error_until_it_is_free() {
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = other.local_addr().unwrap();
    let registry = registry(&format!("gossip://?listen={at}&{TIMES}"));
    for error in [
        registry.register(&service("1", "a"), LONG).await.unwrap_err(),
        registry.deregister(&service("1", "a")).await.unwrap_err(),
        registry.get("greeter").await.unwrap_err(),
        registry.list().await.unwrap_err(),
        registry.watch(None).await.unwrap_err(),
    ] {
        let text = error.to_string();
        assert_eq!(error.kind(), Kind::Unavailable, "{text}");
        assert!(text.contains(&format!("cannot listen at udp {at}")) && text.contains("listen="), "{text}");
    }
    drop(other);
    registry.register(&service("1", "a"), LONG).await.unwrap();
    finds(&registry, &["a"]).await;
}

#[tokio::test]
async fn where_no_seed_answers_it_is_said_in_time_and_mended_when_one_does() {
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let at = format!("127.0.0.1:{port}");
    let lonely = joining(&at, "lonely");
    lonely.register(&service("1", "a"), LONG).await.unwrap();
    let before = Instant::now();
    for error in [
        lonely.get("greeter").await.unwrap_err(),
        lonely.list().await.unwrap_err(),
        lonely.watch(None).await.unwrap_err(),
    ] {
        let text = error.to_string();
        assert_eq!(error.kind(), Kind::Unavailable, "{text}");
        assert!(text.contains(&at) && text.contains("UDP") && text.contains("lonely"), "{text}");
    }
    assert!(before.elapsed() < SILENCE + Duration::from_secs(2), "only the first waits: {:?}", before.elapsed());
    let seed = registry(&format!("gossip://?listen={at}&domain=lonely&{TIMES}"));
    finds(&seed, &["a"]).await;
    finds(&lonely, &["a"]).await;
}

#[test]
fn a_registry_is_used_from_runtimes_that_come_and_go() {
    let seed = first("runtimes");
    for number in 0..3 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            seed.register(&service("1", &format!("n{number}")), LONG).await.unwrap();
            assert_eq!(seed.get("greeter").await.unwrap()[0].nodes.len(), number + 1);
        });
    }
}
