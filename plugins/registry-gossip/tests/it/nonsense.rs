use std::net::UdpSocket;
use std::time::Duration;

use micro_core::registry::{Change, Registry};

use crate::cluster::*;

/// How many packets of nonsense a member gets.
const PACKETS: usize = 4_000;

/// Real packets: what a member sends to a seed that is no member, and what another member answers to it.
fn captured(member: &str) -> Vec<Vec<u8>> {
    let ear = UdpSocket::bind("127.0.0.1:0").unwrap();
    ear.set_read_timeout(Some(LIMIT)).unwrap();
    let asks = joining(&ear.local_addr().unwrap().to_string(), "nonsense");
    address(&asks);
    let mut buffer = vec![0; 65_536];
    let mut hear = || {
        let length = ear.recv(&mut buffer).expect("a packet in time");
        buffer[..length].to_vec()
    };
    let question = hear();
    drop(asks);
    ear.send_to(&question, member).unwrap();
    let answer = std::iter::repeat_with(hear).take(20).find(|packet| *packet != question && packet[3] != question[3]);
    vec![question, answer.expect("an answer")]
}

/// A part of a packet, or one with a tail: what a broken sender sends.
fn broken(random: &mut fastrand::Rng, packet: &[u8]) -> Vec<u8> {
    match random.bool() {
        true => packet[..random.usize(..packet.len())].to_vec(),
        false => {
            let tail: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(64).collect();
            [packet, &tail].concat()
        }
    }
}

/// A packet with other bytes in some places, which UDP's checksum keeps from happening by chance.
fn forged(random: &mut fastrand::Rng, packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    for _ in 0..random.usize(1..4) {
        let at = random.usize(3..packet.len());
        packet[at] = random.u8(..);
    }
    packet
}

#[tokio::test]
async fn packets_of_nonsense_do_no_harm() {
    let seed = first("nonsense");
    let at = seed.member_address().await.unwrap();
    let other = joining(&at, "nonsense");
    seed.register(&service("1", "a"), LONG).await.unwrap();
    finds(&other, &["a"]).await;
    let (mut hears, _) = watch(&other).await;
    let ports = [at, other.member_address().await.unwrap()];
    let real = captured(&ports[0]);
    let mut random = fastrand::Rng::with_seed(7);
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    for number in 0..PACKETS {
        let packet = match number % 4 {
            0 => {
                let length = random.usize(..2_000);
                std::iter::repeat_with(|| random.u8(..)).take(length).collect()
            }
            // The first four bytes are right.
            1 => [&real[0][..3], &[random.u8(..4)], &[random.u8(..); 100]].concat(),
            which => broken(&mut random, &real[which - 2]),
        };
        sender.send_to(&packet, &ports[number % 2]).unwrap();
        if number.is_multiple_of(50) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    assert_eq!(ids(&other.get("greeter").await.unwrap()), ["a"]);
    seed.register(&service("1", "b"), LONG).await.unwrap();
    assert_eq!(next(&mut hears).await, Change::Create(service("1", "b")), "the watch goes on, and missed nothing");
    // Long enough to miss one whose heart-beats are not believed any more.
    tokio::time::sleep(SILENCE).await;
    other.register(&service("1", "c"), LONG).await.unwrap();
    for member in [&seed, &other] {
        finds(member, &["a", "b", "c"]).await;
    }
}

#[tokio::test]
async fn forged_packets_may_tell_lies_and_end_nobody() {
    let seed = first("nonsense");
    let at = seed.member_address().await.unwrap();
    seed.register(&service("1", "a"), LONG).await.unwrap();
    let real = captured(&at);
    let mut random = fastrand::Rng::with_seed(7);
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    for number in 0..PACKETS {
        sender.send_to(&forged(&mut random, &real[number % 2]), &at).unwrap();
        if number.is_multiple_of(50) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    // It goes on as what it was; whoever ended and began anew has another address.
    assert_eq!(seed.member_address().await.unwrap(), at);
    seed.register(&service("1", "b"), LONG).await.unwrap();
    let found = seed.get("greeter").await.unwrap();
    assert!(["a", "b"].iter().all(|id| ids(&found).contains(id)), "{found:?}");
}
