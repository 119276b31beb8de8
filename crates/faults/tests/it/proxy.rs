use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use micro_faults::Proxy;

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
