//! The registry against packets as a program of go-micro sends and expects them, byte by byte.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use micro_core::registry::{Node, Registry, Service};
use simple_dns::rdata::RData;
use simple_dns::{Packet, PacketFlag};
use socket2::{Domain, Socket, Type};

use super::group::*;

/// What go-micro v2.9.1 writes for `{"Service":"greeter","Version":"latest","Endpoints":null,"Metadata":{"protocol":"grpc"}}`.
const GREETER: &str = "789c1cccb10903310c05d05d7eed09d4a74c15482f7c9f601092919534c6bb076e81b7f162fe4627049f248b898637738d70084c8babd0f0f06bc6f05a10ff9a353c597a692964636654f4b01b991de7fc030000ffff43cb1e97";

/// An asker as go-micro's client is one: an ephemeral port.
fn asker() -> UdpSocket {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let options = socket2::SockRef::from(&socket);
    options.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    socket
}

/// A listener on the group's port, as go-micro's server and watcher are.
fn listener(group: &Group) -> UdpSocket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    // Go sets this one only.
    socket.set_reuse_address(true).unwrap();
    socket.bind(&std::net::SocketAddr::from((Ipv4Addr::UNSPECIFIED, group.address.port())).into()).unwrap();
    socket.join_multicast_v4(group.address.ip(), &Ipv4Addr::LOCALHOST).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    socket.into()
}

fn question(name: &str) -> Vec<u8> {
    let mut bytes = b"\x45\x95\0\0\0\x01\0\0\0\0\0\0".to_vec();
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.extend(b"\0\0\x0c\0\x01");
    bytes
}

/// Asks until a packet that fits comes in.
fn receive(socket: &UdpSocket, mut ask: impl FnMut(), fits: impl Fn(&Packet<'_>) -> bool) -> Vec<u8> {
    let mut buffer = vec![0; 65_536];
    let until = std::time::Instant::now() + LIMIT;
    while std::time::Instant::now() < until {
        ask();
        while let Ok((length, _)) = socket.recv_from(&mut buffer) {
            if fits(&Packet::parse(&buffer[..length]).unwrap()) {
                return buffer[..length].to_vec();
            }
        }
    }
    panic!("no such packet came");
}

/// Announces a node and answers no question about it.
pub(crate) fn announce_and_be_silent(group: &Group) -> Service {
    let socket = asker();
    socket.send_to(&announcement("s-x", "s", 3_600, TEXT_OF_S), group.address).unwrap();
    Service::new("s", "latest").node(Node::new("s-x", "127.0.0.1:9"))
}

/// `{"Service":"s","Version":"latest","Endpoints":null,"Metadata":{}}`, not compressed, as a zlib of level 0 has it.
const TEXT_OF_S: &str = "7801014100beff7b2253657276696365223a2273222c2256657273696f6e223a226c6174657374222c22456e64706f696e7473223a6e756c6c2c224d65746164617461223a7b7d7dc9a6163c";

/// An announcement put together by hand: SRV, A, TXT.
fn announcement(id: &str, service: &str, ttl: u32, text: &str) -> Vec<u8> {
    let name = |name: &str| {
        let labels = name.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat());
        labels.chain([0]).collect::<Vec<u8>>()
    };
    let instance = name(&format!("{id}.{service}.micro"));
    let record = |name: &[u8], kind: u8, data: &[u8]| {
        let fixed = [&[0, kind, 0, 1][..], &ttl.to_be_bytes(), &(data.len() as u16).to_be_bytes()].concat();
        [name, &fixed, data].concat()
    };
    let srv = [&[0, 10, 0, 1, 0, 9][..], &name("host")].concat();
    let txt: Vec<u8> = text.as_bytes().chunks(255).flat_map(|part| [&[part.len() as u8], part].concat()).collect();
    [
        b"\0\0\x80\0\0\0\0\x03\0\0\0\0".to_vec(),
        record(&instance, 33, &srv),
        record(&name("host"), 1, &[127, 0, 0, 1]),
        record(&instance, 16, &txt),
    ]
    .concat()
}

// features: C2
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn go_micros_question_gets_the_answer_it_takes() {
    let group = Group::new();
    let registry = group.registry();
    registry.register(&service("greeter", "latest", "greeter-b3c8", 37903), TTL).await.unwrap();
    let socket = asker();
    let ask = || assert!(socket.send_to(&question("greeter.micro"), group.address).is_ok());
    let bytes = receive(&socket, ask, |packet| !packet.answers.is_empty());
    let packet = Packet::parse(&bytes).unwrap();
    assert!(packet.has_flags(PacketFlag::RESPONSE | PacketFlag::AUTHORITATIVE_ANSWER));
    // go-micro drops an answer to another question than its own.
    assert_eq!(packet.questions[0].qname.to_string(), "greeter.micro");
    let [pointer, srv, address, txt] = &packet.answers[..] else { panic!("{packet:?}") };
    assert!(matches!(&pointer.rdata, RData::PTR(name) if name.to_string() == "greeter-b3c8.greeter.micro"));
    assert!(matches!(&srv.rdata, RData::SRV(srv) if (srv.priority, srv.weight, srv.port) == (10, 1, 37903)));
    assert!(matches!(&address.rdata, RData::A(a) if a.address == u32::from(Ipv4Addr::LOCALHOST)));
    let RData::TXT(text) = &txt.rdata else { panic!("{txt:?}") };
    assert!(String::try_from(text.clone()).unwrap().bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase()));
    assert!(packet.answers.iter().all(|record| record.ttl == 120));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn go_micros_list_names_the_service() {
    let group = Group::new();
    let registry = group.registry();
    registry.register(&service("greeter", "latest", "greeter-b3c8", 37903), TTL).await.unwrap();
    let socket = asker();
    let ask = || assert!(socket.send_to(&question("_services.micro"), group.address).is_ok());
    let bytes = receive(&socket, ask, |packet| !packet.answers.is_empty());
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(packet.questions[0].qname.to_string(), "_services.micro");
    assert!(matches!(&packet.answers[0].rdata, RData::PTR(name) if name.to_string() == "greeter._services.micro"));
    assert!(packet.answers.iter().any(|record| matches!(&record.rdata, RData::SRV(srv) if srv.port == 9999)));
    // Go takes an entry only with a TXT record, even an empty one.
    assert!(packet.answers.iter().any(|record| record.rdata.type_code() == simple_dns::TYPE::TXT));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_node_is_probed_announced_and_taken_leave_of() {
    let group = Group::new();
    let socket = listener(&group);
    let registry = group.registry();
    let record = service("greeter", "latest", "greeter-b3c8", 37903);
    registry.register(&record, TTL).await.unwrap();
    receive(&socket, || {}, |packet| !packet.name_servers.is_empty() && !packet.has_flags(PacketFlag::RESPONSE));
    let announced = |ttl| {
        move |packet: &Packet<'_>| {
            packet.has_flags(PacketFlag::RESPONSE)
                && packet.questions.is_empty()
                && packet.answers.iter().all(|r| r.ttl == ttl)
        }
    };
    receive(&socket, || {}, announced(120));
    receive(&socket, || {}, announced(120));
    registry.deregister(&record).await.unwrap();
    receive(&socket, || {}, announced(0));
}

#[tokio::test]
async fn go_micros_announcement_and_farewell_are_heard() {
    let group = Group::new();
    let registry = group.with("&interval=60");
    let mut watch = registry.watch(Some("greeter")).await.unwrap();
    assert!(matches!(next(&mut watch).await, micro_core::registry::Change::State(_)));
    let socket = asker();
    let greeter =
        Service::new("greeter", "latest").node(Node::new("greeter-b3c8", "127.0.0.1:9").with("protocol", "grpc"));
    for _ in 0..3 {
        socket.send_to(&announcement("greeter-b3c8", "greeter", 120, GREETER), group.address).unwrap();
    }
    assert_eq!(next(&mut watch).await, micro_core::registry::Change::Create(greeter.clone()));
    socket.send_to(&announcement("greeter-b3c8", "greeter", 0, GREETER), group.address).unwrap();
    assert_eq!(next(&mut watch).await, micro_core::registry::Change::Delete(greeter), "and once only");
}

#[tokio::test]
async fn rubbish_on_the_group_changes_nothing() {
    let group = Group::new();
    let (a, b) = (group.registry(), group.registry());
    a.register(&service("s", "1", "s-a", 1), TTL).await.unwrap();
    let socket = asker();
    for round in 0..200usize {
        let mut packet = announcement("greeter-b3c8", "greeter", 120, GREETER);
        packet.truncate(round * 3 % 300);
        if let Some(byte) = packet.get_mut(round) {
            *byte ^= 0xff;
        }
        socket.send_to(&packet, group.address).unwrap();
    }
    until("it still works", async || ids(&b.get("s").await.unwrap()) == ["s-a"]).await;
}
