//! As much of the protocol as tells whether a node serves.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(2);
/// No answer to what is asked here is near it.
const LONGEST: usize = 1 << 20;

/// ApiVersions v0, correlation 1, no client id.
const API_VERSIONS: &[u8] = &[0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff];
/// Metadata v1 of no topic.
const METADATA: &[u8] = &[0, 3, 0, 1, 0, 0, 0, 2, 0xff, 0xff, 0, 0, 0, 0];

/// Whether the node talks at all.
pub(super) fn answers(port: u16) -> bool {
    ask(port, API_VERSIONS).is_some()
}

/// Ids of the brokers that the node knows to be alive; `None` as long as it does not answer or knows no controller.
pub(super) fn brokers(port: u16) -> Option<Vec<i32>> {
    read_brokers(&ask(port, METADATA)?)
}

fn ask(port: u16, request: &[u8]) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), LIMIT).ok()?;
    stream.set_read_timeout(Some(LIMIT)).ok()?;
    stream.set_write_timeout(Some(LIMIT)).ok()?;
    let length = u32::try_from(request.len()).ok()?;
    stream.write_all(&[&length.to_be_bytes()[..], request].concat()).ok()?;
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let length = usize::try_from(u32::from_be_bytes(length)).ok().filter(|length| *length <= LONGEST)?;
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).ok()?;
    Some(answer)
}

/// Correlation, brokers as (id, host, port, rack), controller, topics.
fn read_brokers(mut answer: &[u8]) -> Option<Vec<i32>> {
    let answer = &mut answer;
    number(answer)?;
    let mut brokers = Vec::new();
    for _ in 0..number(answer)? {
        brokers.push(number(answer)?);
        text(answer)?;
        number(answer)?;
        text(answer)?;
    }
    (number(answer)? >= 0).then_some(brokers)
}

fn number(bytes: &mut &[u8]) -> Option<i32> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    *bytes = rest;
    Some(i32::from_be_bytes(*number))
}

/// Skips a text; -1 is the length of one that is not there.
fn text(bytes: &mut &[u8]) -> Option<()> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let length = usize::try_from(i16::from_be_bytes(*length)).unwrap_or(0);
    *bytes = rest.get(length..)?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_a_controller_lists_nobody() {
        let mut answer = vec![0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 7, 0, 1, b'h', 0, 0, 1, 1, 0xff, 0xff, 0, 0, 0, 7];
        answer.extend([0, 0, 0, 0]);
        assert_eq!(read_brokers(&answer), Some(vec![7]));
        answer[21..25].copy_from_slice(&[0xff; 4]);
        assert_eq!(read_brokers(&answer), None);
        assert_eq!(read_brokers(&answer[..12]), None, "cut off");
    }
}
