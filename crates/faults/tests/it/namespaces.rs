//! What needs the right to make network namespaces. The test command runs it where that is given, and says so where it is
//! not.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use micro_faults::Network;

const LIMIT: Duration = Duration::from_secs(60);
const SILENCE: Duration = Duration::from_millis(300);

/// Two ends of a connection between the hosts 0 and 1.
fn connection(network: &Network) -> (TcpStream, TcpStream) {
    let listener = network.inside(1, || TcpListener::bind((network.address(1), 0))).unwrap();
    let address = listener.local_addr().unwrap();
    let client = network.inside(0, || TcpStream::connect_timeout(&address, LIMIT)).unwrap();
    (client, listener.accept().unwrap().0)
}

fn hears(stream: &mut TcpStream, limit: Duration) -> Result<u8, ErrorKind> {
    stream.set_read_timeout(Some(limit)).unwrap();
    let mut byte = [0];
    stream.read_exact(&mut byte).map_err(|error| error.kind()).map(|()| byte[0])
}

#[test]
#[ignore = "needs root; `cargo xtask test` runs it where it is given"]
fn an_unplugged_host_is_silent_and_its_connections_go_on_when_it_is_plugged_in() {
    let network = Network::of(3).unwrap();
    let (mut client, mut server) = connection(&network);
    client.write_all(&[1]).unwrap();
    assert_eq!(hears(&mut server, LIMIT), Ok(1));
    network.unplug(1);
    server.write_all(&[2]).unwrap();
    client.write_all(&[3]).unwrap();
    assert_eq!(hears(&mut client, SILENCE), Err(ErrorKind::WouldBlock), "neither closed nor reset");
    assert_eq!(hears(&mut server, SILENCE), Err(ErrorKind::WouldBlock), "neither closed nor reset");
    let address = server.local_addr().unwrap();
    let dialled = network.inside(2, || TcpStream::connect_timeout(&address, SILENCE)).unwrap_err();
    assert_eq!(dialled.kind(), ErrorKind::TimedOut, "nobody refuses");
    network.plug(1);
    assert_eq!(hears(&mut client, LIMIT), Ok(2));
    assert_eq!(hears(&mut server, LIMIT), Ok(3));
}

#[test]
#[ignore = "needs root; `cargo xtask test` runs it where it is given"]
fn two_networks_and_the_machine_around_them_do_not_hear_each_other() {
    let (one, other) = (Network::of(2).unwrap(), Network::of(2).unwrap());
    let socket = |network: &Network, host| {
        let socket = network.inside(host, || UdpSocket::bind((network.address(host), 4000))).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        socket
    };
    let (hears, deaf) = (socket(&one, 1), socket(&other, 1));
    socket(&one, 0).send_to(&[7], (one.address(1), 4000)).unwrap();
    let mut byte = [0];
    assert_eq!(hears.recv_from(&mut byte).unwrap().1.ip(), one.address(0));
    deaf.set_read_timeout(Some(SILENCE)).unwrap();
    assert_eq!(deaf.recv(&mut byte).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(UdpSocket::bind((one.address(1), 0)).is_err(), "the machine has no such address");
}
