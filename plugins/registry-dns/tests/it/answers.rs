//! A server that answers as it is told: badly, or with a certain time to live.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use micro_core::Kind;
use micro_core::registry::{Cache, Change};
use simple_dns::rdata::{A, RData, SRV};
use simple_dns::{CLASS, Name, Packet, PacketFlag, RCODE, ResourceRecord};
use tokio::time::Instant;

use super::{LIMIT, next, registry};

const GOOD: u32 = 0;
const BROKEN: u32 = 1;
const NONSENSE: u32 = 2;
const SILENT: u32 = 3;
const GONE: u32 = 4;

/// Seconds that its answers say they are true for.
const TTL: u32 = 2;

#[derive(Debug)]
struct Server {
    address: SocketAddr,
    mode: Arc<AtomicU32>,
    asked: Arc<AtomicUsize>,
}

impl Server {
    fn start() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = Self { address: socket.local_addr().unwrap(), mode: Arc::default(), asked: Arc::default() };
        let (mode, asked) = (Arc::clone(&server.mode), Arc::clone(&server.asked));
        std::thread::spawn(move || {
            let mut buffer = [0; 2_048];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                asked.fetch_add(1, Ordering::SeqCst);
                if let Some(answer) = answer(&buffer[..length], mode.load(Ordering::SeqCst)) {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        server
    }

    fn answers(&self, mode: u32) {
        self.mode.store(mode, Ordering::SeqCst);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn answer(question: &[u8], mode: u32) -> Option<Vec<u8>> {
    let question = Packet::parse(question).unwrap();
    let mut answer = Packet::new_reply(question.id());
    answer.set_flags(PacketFlag::RECURSION_AVAILABLE | PacketFlag::RECURSION_DESIRED);
    answer.questions.extend(question.questions.iter().cloned());
    let target = Name::new("one.example").unwrap();
    match mode {
        GOOD => {
            let name = question.questions[0].qname.clone();
            let srv = RData::SRV(SRV { priority: 1, weight: 7, port: 9001, target: target.clone() });
            answer.answers.push(ResourceRecord::new(name.clone(), CLASS::IN, TTL, srv));
            let second = RData::SRV(SRV { priority: 2, weight: 7, port: 9002, target: target.clone() });
            answer.answers.push(ResourceRecord::new(name, CLASS::IN, TTL, second));
            let a = RData::A(A { address: u32::from(Ipv4Addr::new(10, 0, 0, 7)) });
            answer.additional_records.push(ResourceRecord::new(target, CLASS::IN, TTL, a));
        }
        BROKEN => *answer.rcode_mut() = RCODE::ServerFailure,
        GONE => *answer.rcode_mut() = RCODE::NameError,
        NONSENSE => return Some(vec![7; 40]),
        _ => return None,
    }
    Some(answer.build_bytes_vec().unwrap())
}

#[tokio::test]
async fn an_answer_is_asked_for_again_when_its_time_is_over_and_not_before() {
    let server = Server::start();
    let registry = registry(&format!("dns://{}/?domain=example", server.address));
    let began = Instant::now();
    let found = registry.get("greeter").await.unwrap();
    assert_eq!(found[0].nodes.len(), 1, "the second is for when the first is gone: {found:?}");
    assert_eq!(found[0].nodes[0].address, "10.0.0.7:9001");
    for _ in 0..20 {
        assert_eq!(registry.get("greeter").await.unwrap(), found);
    }
    assert!(server.asked() == 1 || began.elapsed() >= Duration::from_secs(1), "it was asked {} times", server.asked());
    let mut watch = registry.watch(Some("greeter")).await.unwrap();
    assert_eq!(next(&mut watch).await.unwrap(), Change::State(found.clone()));
    server.answers(GONE);
    assert_eq!(next(&mut watch).await.unwrap(), Change::Delete(found[0].clone()));
    assert!(began.elapsed() >= Duration::from_secs(1), "it was heard after {:?}", began.elapsed());
    server.answers(GOOD);
    assert_eq!(next(&mut watch).await.unwrap(), Change::Create(found[0].clone()));
}

#[tokio::test]
async fn a_server_that_fails_is_an_error_in_time_and_the_cache_goes_on_with_what_it_knew() {
    let server = Server::start();
    let address = format!("dns://{}/?domain=example&timeout_ms=600&min_ttl_ms=50&max_ttl_ms=50", server.address);
    let registry = registry(&address);
    let cache = Cache::new(Arc::clone(&registry));
    assert_eq!(cache.get("greeter").await.unwrap().candidates().len(), 1);
    for (mode, kinds) in [
        (BROKEN, &[Kind::Unavailable][..]),
        (NONSENSE, &[Kind::Unavailable, Kind::Timeout]),
        (SILENT, &[Kind::Timeout]),
    ] {
        let mut watch = registry.watch(Some("greeter")).await.unwrap();
        assert!(matches!(next(&mut watch).await.unwrap(), Change::State(_)));
        server.answers(mode);
        let error = next(&mut watch).await.unwrap_err();
        assert!(kinds.contains(&error.kind()), "{mode}: {error}");
        let began = Instant::now();
        let error = registry.get("greeter").await.unwrap_err();
        assert!(kinds.contains(&error.kind()) && began.elapsed() < LIMIT / 3, "{mode}: {error}");
        assert!(error.to_string().contains(&server.address.to_string()), "{error}");
        assert_eq!(cache.get("greeter").await.unwrap().candidates().len(), 1, "{mode}");
        server.answers(GOOD);
        assert_eq!(registry.get("greeter").await.unwrap()[0].nodes.len(), 1);
    }
}
