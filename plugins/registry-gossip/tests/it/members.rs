use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use micro_conformance::registry::{Child, Process};
use micro_core::Kind;
use micro_core::registry::{Change, Node, Registry, Service};
use tokio::time::{Instant, sleep};

use crate::cluster::*;

#[tokio::test]
async fn three_find_each_other_from_one_seed_and_go_on_without_it() {
    let seed = first("three");
    let at = seed.member_address().await.unwrap();
    let (b, c) = (joining(&at, "three"), joining(&at, "three"));
    for (member, id) in [(&seed, "a"), (&b, "b"), (&c, "c")] {
        member.register(&service("1", id), LONG).await.unwrap();
    }
    for member in [&seed, &b, &c] {
        finds(member, &["a", "b", "c"]).await;
    }
    drop(seed);
    for member in [&b, &c] {
        finds(member, &["b", "c"]).await;
    }
    c.register(&service("1", "d"), LONG).await.unwrap();
    finds(&b, &["b", "c", "d"]).await;
}

#[tokio::test]
async fn a_killed_process_leaves_within_its_limit_and_nobody_else_does() {
    let (seed, at) = {
        let seed = first("one");
        let at = seed.member_address().await.unwrap();
        (seed, at)
    };
    let stays = joining(&at, "one");
    stays.register(&service("1", "stays"), LONG).await.unwrap();
    let mut process = Child::new("conformance::other_process", [("MICRO_TEST_CONFORMANCE_GOSSIP", at.clone())]);
    // Its time to live is no help: it would last for minutes.
    let process = tokio::task::spawn_blocking(move || {
        process.start(&service("1", "goes"), LONG);
        process
    });
    let mut process = process.await.unwrap();
    for member in [&seed, &stays] {
        finds(member, &["goes", "stays"]).await;
    }
    sleep(SILENCE).await;
    assert_eq!(ids(&seed.get("greeter").await.unwrap()), ["goes", "stays"], "it lives, and stays");
    let (mut hears, _) = watch(&stays).await;
    let killed = Instant::now();
    process.kill();
    // The silence, and the way of the last heart-beat.
    let limit = SILENCE + Duration::from_millis(1_500);
    assert_eq!(next(&mut hears).await, Change::Delete(service("1", "goes")));
    assert!(killed.elapsed() < limit, "{:?}", killed.elapsed());
    finds_within(limit, &seed, &["stays"]).await;
}

#[tokio::test]
async fn a_seed_that_is_started_again_knows_soon_what_the_others_know() {
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let seed = || registry(&format!("gossip://?listen=127.0.0.1:{port}&domain=again&{TIMES}"));
    let before = seed();
    let at = before.member_address().await.unwrap();
    let other = joining(&at, "again");
    before.register(&service("1", "seed"), LONG).await.unwrap();
    other.register(&service("1", "other"), LONG).await.unwrap();
    for member in [&before, &other] {
        finds(member, &["other", "seed"]).await;
    }
    drop(before);
    finds(&other, &["other"]).await;
    let after = seed();
    let until = Instant::now() + LIMIT;
    // The port is free as soon as the farewell is said.
    while let Err(error) = after.member_address().await {
        assert!(Instant::now() < until && error.to_string().contains("cannot listen"), "{error}");
        sleep(Duration::from_millis(20)).await;
    }
    finds(&after, &["other"]).await;
    after.register(&service("1", "seed"), LONG).await.unwrap();
    finds(&other, &["other", "seed"]).await;
}

#[tokio::test]
async fn members_of_two_domains_do_not_hear_each_other() {
    let blue = first("blue");
    let at = blue.member_address().await.unwrap();
    let green = joining(&at, "green");
    blue.register(&service("1", "blue"), LONG).await.unwrap();
    green.register(&service("1", "green"), LONG).await.unwrap();
    let error = green.get("greeter").await.unwrap_err();
    assert!(error.to_string().contains("domain green") && error.to_string().contains(&at), "{error}");
    // Its own cluster it finds beside.
    let second = first("green");
    let both = format!("{at},{}", second.member_address().await.unwrap());
    let third = joining(&both, "green");
    third.register(&service("1", "third"), LONG).await.unwrap();
    finds(&second, &["third"]).await;
    assert_eq!(ids(&blue.get("greeter").await.unwrap()), ["blue"]);
}

#[tokio::test]
async fn who_leaves_takes_its_nodes_away_long_before_it_is_missed() {
    let patient = "domain=leaving&interval_ms=100&silence_ms=60000";
    let seed = registry(&format!("gossip://?listen=127.0.0.1:0&{patient}"));
    let at = seed.member_address().await.unwrap();
    let leaves = registry(&format!("gossip://{at}?{patient}"));
    leaves.register(&service("1", "a"), LONG).await.unwrap();
    finds(&seed, &["a"]).await;
    let (mut hears, _) = watch(&seed).await;
    drop(leaves);
    let before = Instant::now();
    assert_eq!(next(&mut hears).await, Change::Delete(service("1", "a")));
    assert!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());
}

#[tokio::test]
async fn of_two_members_that_register_one_id_the_last_counts_for_all() {
    let seed = first("ids");
    let at = seed.member_address().await.unwrap();
    let (a, b) = (joining(&at, "ids"), joining(&at, "ids"));
    let (old, new) = (service("1", "n"), service("2", "n"));
    a.register(&old, LONG).await.unwrap();
    finds(&b, &["n"]).await;
    b.register(&new, LONG).await.unwrap();
    for member in [&seed, &a, &b] {
        let until = Instant::now() + LIMIT;
        while member.get("greeter").await.unwrap() != std::slice::from_ref(&new) {
            assert!(Instant::now() < until, "{:?}", member.get("greeter").await);
            sleep(Duration::from_millis(20)).await;
        }
    }
    // The old program stops late: the new one stays.
    a.deregister(&old).await.unwrap();
    let (mut hears, _) = watch(&seed).await;
    a.register(&service("1", "m"), LONG).await.unwrap();
    assert_eq!(next(&mut hears).await, Change::Create(service("1", "m")));
    assert_eq!(ids(&seed.get("greeter").await.unwrap()), ["m", "n"]);
    // And taken away by whoever does it, it is gone, though the other says it still.
    a.deregister(&new).await.unwrap();
    for member in [&seed, &a, &b] {
        finds(member, &["m"]).await;
    }
    // Until that one registers it again.
    b.register(&new, LONG).await.unwrap();
    for member in [&seed, &a, &b] {
        finds(member, &["m", "n"]).await;
    }
}

#[tokio::test]
async fn records_that_need_many_packets_come_through_and_one_that_fits_into_none_is_too_large() {
    let seed = first("large");
    let at = seed.member_address().await.unwrap();
    let (a, b) = (joining(&at, "large"), joining(&at, "large"));
    // Nothing makes it smaller: compression is no help.
    let random = |length: usize| (0..length).map(|_| fastrand::alphanumeric()).collect::<String>();
    let record = |id: &str, length| {
        Service::new("greeter", "1").node(Node::new(id, "127.0.0.1:1").with("large", random(length)))
    };
    let expected: Vec<String> = (10..34).map(|number| number.to_string()).collect();
    for id in &expected {
        a.register(&record(id, 30 << 10), LONG).await.unwrap();
    }
    let error = a.register(&record("huge", 32 << 10), LONG).await.unwrap_err();
    assert!(error.kind() == Kind::TooLarge && error.to_string().contains("32768"), "{error}");
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    for member in [&a, &b, &seed] {
        finds(member, &expected).await;
    }
    assert_eq!(a.get("greeter").await.unwrap(), b.get("greeter").await.unwrap());
}

#[tokio::test]
async fn many_members_of_one_process_find_each_other_and_go_one_by_one() {
    let seed = Arc::new(first("many"));
    let at = seed.member_address().await.unwrap();
    let mut members: Vec<_> = (10..26).map(|number| (number.to_string(), joining(&at, "many"))).collect();
    for (id, member) in &members {
        member.register(&service("1", id), LONG).await.unwrap();
    }
    while members.len() > 8 {
        let expected: Vec<&str> = members.iter().map(|(id, _)| id.as_str()).collect();
        finds(&seed, &expected).await;
        finds(&members[0].1, &expected).await;
        members.pop();
        members.pop();
    }
}
