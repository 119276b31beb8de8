//! Speaks to the agent as no client of ours does.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use micro_faults::Consul as Server;

use super::LIMIT;

pub(crate) fn put(server: &Server, path: &str, body: &str) -> String {
    say(server, &format!("PUT {path}"), body)
}

pub(crate) fn get(server: &Server, path: &str) -> String {
    say(server, &format!("GET {path}"), "")
}

/// Returns the body of the answer. The token does no harm where none is asked for.
fn say(server: &Server, what: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let head = format!(
        "{what} HTTP/1.0\r\nHost: consul\r\nX-Consul-Token: {}\r\nContent-Length: {}\r\n\r\n",
        server.token(),
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.lines().next().unwrap().contains(" 200 "), "{answer}");
    body.to_owned()
}
