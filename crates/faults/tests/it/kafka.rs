use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use micro_faults::Proxy;
use micro_faults::kafka::{Kafka, Setup};

const API_VERSIONS: &[u8] = &[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff];
const LIMIT: Duration = Duration::from_secs(60);
/// An answer takes a thousandth of it.
const SILENCE: Duration = Duration::from_secs(2);

/// Asks for the versions of the protocol and gives the correlation of the answer.
fn ask(address: &str, limit: Duration) -> Result<u8, ErrorKind> {
    let mut stream = TcpStream::connect(address).map_err(|e| e.kind())?;
    stream.set_read_timeout(Some(limit)).map_err(|e| e.kind())?;
    stream.write_all(API_VERSIONS).map_err(|e| e.kind())?;
    let mut head = [0; 8];
    stream.read_exact(&mut head).map_err(|e| e.kind())?;
    Ok(head[7])
}

#[test]
fn a_killed_node_comes_back_on_its_port() {
    let kafka = Kafka::start(&Setup::new()).unwrap();
    let address = kafka.bootstrap();
    assert_eq!(ask(&address, LIMIT), Ok(1));
    kafka.kill(1);
    assert!(!kafka.is_running(1));
    assert_eq!(ask(&address, LIMIT), Err(ErrorKind::ConnectionRefused));
    kafka.restart(1).unwrap();
    assert_eq!((kafka.bootstrap(), ask(&address, LIMIT)), (address, Ok(1)));
    kafka.stop(1).unwrap();
    assert!(!kafka.is_running(1));
}

#[test]
fn a_paused_node_takes_connections_and_is_silent_until_it_is_resumed() {
    let kafka = Kafka::start(&Setup::new()).unwrap();
    kafka.pause(1).unwrap();
    assert_eq!(ask(&kafka.bootstrap(), SILENCE), Err(ErrorKind::WouldBlock));
    kafka.resume(1).unwrap();
    assert_eq!(ask(&kafka.bootstrap(), LIMIT), Ok(1));
}

#[test]
fn the_others_go_on_without_a_node_and_it_joins_them_again() {
    let kafka = Kafka::start(&Setup::new().nodes(3)).unwrap();
    let addresses: Vec<String> = kafka.bootstrap().split(',').map(str::to_owned).collect();
    assert_eq!(addresses, (1..=3).map(|node| kafka.address(node)).collect::<Vec<_>>());
    kafka.kill(2);
    for node in [1, 3] {
        kafka.wait_ready(node, LIMIT).unwrap();
    }
    kafka.restart(2).unwrap();
    assert_eq!(ask(&addresses[1], LIMIT), Ok(1));
}

#[test]
fn a_node_advertises_the_proxy_that_is_in_front_of_it() {
    let proxy = Proxy::start().unwrap();
    let kafka = Kafka::start(&Setup::new().advertise(proxy.address())).unwrap();
    proxy.forward(kafka.address(1));
    assert_eq!(kafka.bootstrap(), proxy.address());
    assert_eq!(ask(&proxy.address(), LIMIT), Ok(1));
    // The node itself goes another way.
    proxy.cut();
    kafka.wait_ready(1, LIMIT).unwrap();
}

#[test]
fn a_secure_server_serves_every_listener_and_has_its_authority_beside_another() {
    let kafka = Kafka::start(&Setup::new().secure()).unwrap();
    assert_eq!(ask(&kafka.sasl_plaintext(), LIMIT), Ok(1));
    for address in [kafka.ssl(), kafka.sasl_ssl()] {
        assert!(ask(&address, LIMIT).is_err(), "without TLS there is no answer");
    }
    let read = |path| std::fs::read_to_string(path).unwrap();
    let (own, other) = (read(kafka.ca()), read(kafka.other_ca()));
    assert!([&own, &other].iter().all(|pem| pem.contains("BEGIN CERTIFICATE")));
    assert_ne!(own, other);
    assert_eq!(kafka.variables().len(), 6);
}

#[test]
fn a_server_that_does_not_come_up_is_shown_with_its_log() {
    let error = Kafka::start(&Setup::new().property("num.io.threads", "none")).unwrap_err().to_string();
    assert!(error.contains("num.io.threads") && error.contains("node 1"), "{error}");
}
