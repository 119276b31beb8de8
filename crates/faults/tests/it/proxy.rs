use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use micro_faults::{Corruption, Direction, Proxy};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const LIMIT: Duration = Duration::from_secs(60);
const SILENCE: Duration = Duration::from_millis(300);

/// Answers every byte by itself, until the test's process ends.
fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut byte = [0];
                while stream.read_exact(&mut byte).and_then(|()| stream.write_all(&byte)).is_ok() {}
            });
        }
    });
    address
}

fn dial(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

fn ask(stream: &mut TcpStream, byte: u8) -> Result<u8, ErrorKind> {
    stream.write_all(&[byte]).map_err(|e| e.kind())?;
    let mut answer = [0];
    stream.read_exact(&mut answer).map_err(|e| e.kind())?;
    Ok(answer[0])
}

#[test]
fn a_cut_closes_every_connection_and_refuses_new_ones_until_it_is_healed() {
    let proxy = Proxy::to(echo()).unwrap();
    let mut open = dial(&proxy);
    assert_eq!(ask(&mut open, 1), Ok(1));
    assert_eq!((proxy.connections(), proxy.accepted()), (1, 1));
    proxy.cut();
    assert_eq!(open.read(&mut [0]).unwrap_or(0), 0, "closed");
    assert!(ask(&mut dial(&proxy), 2).is_err());
    proxy.heal();
    assert_eq!(ask(&mut dial(&proxy), 3), Ok(3));
    proxy.reset();
    assert_eq!(ask(&mut dial(&proxy), 4), Ok(4));
}

#[test]
fn a_held_connection_stays_open_and_lets_nothing_through() {
    let proxy = Proxy::to(echo()).unwrap();
    let mut streams = [dial(&proxy), dial(&proxy)];
    assert_eq!(ask(&mut streams[0], 1), Ok(1));
    proxy.hold();
    streams[1] = dial(&proxy);
    for stream in &mut streams {
        stream.set_read_timeout(Some(SILENCE)).unwrap();
        assert_eq!(ask(stream, 2), Err(ErrorKind::WouldBlock));
    }
    proxy.heal();
    for stream in &mut streams {
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        assert_ne!(ask(stream, 3), Ok(3), "there is a hole in it");
    }
    assert_eq!(ask(&mut dial(&proxy), 4), Ok(4));
}

#[test]
fn a_delay_is_waited_in_both_directions() {
    let proxy = Proxy::to(echo()).unwrap();
    let mut stream = dial(&proxy);
    proxy.delay(SILENCE);
    let start = Instant::now();
    assert_eq!(ask(&mut stream, 1), Ok(1));
    assert!(start.elapsed() >= 2 * SILENCE, "{:?}", start.elapsed());
    proxy.delay(Duration::ZERO);
    assert_eq!(ask(&mut stream, 2), Ok(2));
}

/// Takes everything, and tells of the first byte of a connection, and at its end of all of them.
struct Sink {
    address: String,
    began: Receiver<()>,
    ended: Receiver<Vec<u8>>,
}

fn sink() -> Sink {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let ((first, began), (last, ended)) = (channel(), channel());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut all, first, last) = (stream.unwrap(), vec![0], first.clone(), last.clone());
            thread::spawn(move || {
                stream.read_exact(&mut all).unwrap();
                let _ = first.send(());
                let _ = stream.read_to_end(&mut all);
                let _ = last.send(all);
            });
        }
    });
    Sink { address, began, ended }
}

#[test]
fn a_half_open_connection_has_lost_its_server_and_the_client_hears_nothing_of_it() {
    let Sink { address, began, ended } = sink();
    let proxy = Proxy::to(address).unwrap();
    let mut stream = dial(&proxy);
    stream.write_all(b"before").unwrap();
    began.recv_timeout(LIMIT).unwrap();
    proxy.half_open();
    let came = ended.recv_timeout(LIMIT).unwrap();
    assert!(b"before".starts_with(&came), "the server's side is closed");
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    assert_eq!(ask(&mut stream, 1), Err(ErrorKind::WouldBlock), "the client's is open and silent");
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    proxy.heal();
    assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0, "closed");
}

#[test]
fn a_throttled_connection_takes_as_long_as_its_bytes_and_loses_none() {
    let Sink { address, ended, .. } = sink();
    let proxy = Proxy::to(address).unwrap();
    proxy.throttle(100_000);
    let sent: Vec<u8> = (0..50_000u32).map(|number| number as u8).collect();
    let start = Instant::now();
    let mut stream = dial(&proxy);
    stream.write_all(&sent).unwrap();
    drop(stream);
    assert!(ended.recv_timeout(LIMIT).unwrap() == sent, "something else came");
    assert!(start.elapsed() >= Duration::from_millis(400), "{:?}", start.elapsed());

    let mut stream = dial(&proxy);
    proxy.throttle(1);
    stream.write_all(&sent).unwrap();
    drop(stream);
    assert!(ended.recv_timeout(SILENCE).is_err(), "at a byte a second it takes all day");
    proxy.throttle(0);
    assert!(ended.recv_timeout(LIMIT).unwrap() == sent, "the rest comes at once");
}

#[test]
fn a_throttled_connection_can_be_cut() {
    let Sink { address, began, ended } = sink();
    let proxy = Proxy::to(address).unwrap();
    proxy.throttle(10);
    let mut stream = dial(&proxy);
    stream.write_all(&[7; 10_000]).unwrap();
    began.recv_timeout(LIMIT).unwrap();
    proxy.cut();
    assert!(ended.recv_timeout(LIMIT).unwrap().len() < 1000);
    let end = Instant::now() + LIMIT;
    while proxy.connections() > 0 {
        assert!(Instant::now() < end, "it is still there");
        thread::yield_now();
    }
}

#[test]
fn corruption_flips_single_bits_of_one_direction_and_the_same_ones_for_the_same_seed() {
    let Sink { address, ended, .. } = sink();
    let proxy = Proxy::to(address).unwrap();
    let send = |corruption: Option<Corruption>| {
        let before = proxy.flipped();
        if let Some(corruption) = corruption {
            proxy.corrupt(Direction::ToServer, corruption);
        }
        dial(&proxy).write_all(&[0; 10_000]).unwrap();
        let came = ended.recv_timeout(LIMIT).unwrap();
        assert_eq!(came.len(), 10_000, "nothing is lost or doubled");
        proxy.mend();
        let flipped: u32 = came.iter().map(|byte| byte.count_ones()).sum();
        assert_eq!(u64::from(flipped), proxy.flipped() - before);
        (flipped, came)
    };
    let (flipped, first) = send(Some(Corruption::every(1000).seed(7)));
    assert_eq!(flipped, 10);
    assert!(send(Some(Corruption::every(1000).seed(7))).1 == first, "the same seed, the same bits");
    assert!(send(Some(Corruption::every(1000).seed(8))).1 != first);
    let (flipped, once) = send(Some(Corruption::within(100)));
    assert!(flipped == 1 && once[..100].iter().any(|byte| *byte != 0));
    assert_eq!(send(None).0, 0, "mended");
}

#[test]
fn what_comes_back_is_left_alone_by_a_corruption_of_what_goes_there() {
    let proxy = Proxy::to(echo()).unwrap();
    let mut stream = dial(&proxy);
    proxy.corrupt(Direction::ToClient, Corruption::within(1));
    let answer = ask(&mut stream, 0).unwrap();
    assert_eq!((answer.count_ones(), proxy.flipped()), (1, 1));
    assert_eq!(ask(&mut stream, 5), Ok(5));
}

#[test]
fn more_connections_than_any_test_opens_are_closed_at_once() {
    // Each is four descriptors here, and the usual limit is 1,024.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let proxy = Proxy::to(echo()).unwrap();
    let mut open: Vec<TcpStream> = Vec::new();
    while open.len() < 512 {
        let mut stream = dial(&proxy);
        assert_eq!(ask(&mut stream, 1), Ok(1));
        open.push(stream);
    }
    assert!(ask(&mut dial(&proxy), 2).is_err(), "one too many");
    drop(open.pop());
    let end = Instant::now() + LIMIT;
    while ask(&mut dial(&proxy), 3) != Ok(3) {
        assert!(Instant::now() < end, "its place is never free again");
    }
}
