//! Lets requests through that `h2` would reset, because go-micro's HTTP gateway puts headers of its own HTTP request into
//! the gRPC request: `connection` and its like, and a `content-length` that is not that of the body.
//!
//! The connection layer has no switch for that, so the bytes are changed before it reads them: the name of such a header
//! becomes another one of the same length, in the same number of bits. Both sides' header tables stay the same size, and
//! later references to the changed entry stay right, so nothing has to be remembered but where frames begin. Only the
//! structure of a header block is walked, nothing is decoded. What a header block cut in two by the network hides is
//! left as it is: the call is reset then, as it would be without this.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const PREFACE: usize = 24;
const FRAME_HEAD: usize = 9;
const HEADERS: u8 = 1;
const PADDED: u8 = 0x08;
const PRIORITY: u8 = 0x20;

/// `content-length` in the static table, and a name as long that nothing looks at.
const CONTENT_LENGTH: u8 = 28;
const ACCEPT_CHARSET: u8 = 15;
/// `transfer-encoding` in the static table, and a name as long that nothing looks at.
const TRANSFER_ENCODING: u8 = 57;
const IF_MODIFIED_SINCE: u8 = 40;

/// A name that `h2` refuses: plain, in Huffman code, and the bits that change its first letter into another with a code of
/// the same length.
struct Refused {
    plain: &'static [u8],
    coded: &'static [u8],
    plain_change: u8,
    coded_change: u8,
}

const REFUSED: [Refused; 4] = [
    // To "aonnection".
    Refused {
        plain: b"connection",
        coded: &[0x21, 0xea, 0xa8, 0xa4, 0x49, 0x8f, 0x57],
        plain_change: b'c' ^ b'a',
        coded_change: 0b0011_1000,
    },
    // To "jeep-alive".
    Refused {
        plain: b"keep-alive",
        coded: &[0xea, 0x52, 0xd6, 0xb0, 0xe8, 0x37, 0x72, 0xff],
        plain_change: b'k' ^ b'j',
        coded_change: 0b0000_0010,
    },
    // To "rroxy-connection".
    Refused {
        plain: b"proxy-connection",
        coded: &[0xae, 0xc3, 0xf9, 0xf4, 0xb1, 0x0f, 0x55, 0x45, 0x22, 0x4c, 0x7a, 0xbf],
        plain_change: b'p' ^ b'r',
        coded_change: 0b0001_1100,
    },
    // To "rpgrade".
    Refused {
        plain: b"upgrade",
        coded: &[0xb6, 0xb9, 0xac, 0x1c, 0x85],
        plain_change: b'u' ^ b'r',
        coded_change: 0b0000_0100,
    },
];

/// The names that stand for what was refused; no handler sees them.
pub(crate) const STAND_INS: [&str; 4] = ["aonnection", "jeep-alive", "rroxy-connection", "rpgrade"];

/// A connection whose requests are made acceptable.
pub(crate) struct Lenient<S> {
    stream: S,
    /// How many bytes belong to the frame at hand, or the preface.
    skip: usize,
    head: [u8; FRAME_HEAD],
    have: usize,
}

impl<S> Lenient<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, skip: PREFACE, head: [0; FRAME_HEAD], have: 0 }
    }

    fn walk(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let now = self.skip.min(bytes.len());
                self.skip -= now;
                bytes = &mut bytes[now..];
                continue;
            }
            let now = (FRAME_HEAD - self.have).min(bytes.len());
            self.head[self.have..self.have + now].copy_from_slice(&bytes[..now]);
            self.have += now;
            bytes = &mut bytes[now..];
            if self.have < FRAME_HEAD {
                return;
            }
            self.have = 0;
            let [a, b, c, kind, flags, ..] = self.head;
            self.skip = u32::from_be_bytes([0, a, b, c]) as usize;
            if kind == HEADERS && bytes.len() >= self.skip {
                headers(&mut bytes[..self.skip], flags);
            }
        }
    }
}

/// Walks a HEADERS frame.
fn headers(mut frame: &mut [u8], flags: u8) {
    if flags & PADDED != 0 {
        let Some((padding, rest)) = frame.split_first_mut() else { return };
        let Some(length) = rest.len().checked_sub(usize::from(*padding)) else { return };
        frame = &mut rest[..length];
    }
    if flags & PRIORITY != 0 {
        if frame.len() < 5 {
            return;
        }
        frame = &mut frame[5..];
    }
    let mut at = 0;
    while at < frame.len() {
        match field(frame, at) {
            Some(next) => at = next,
            None => return,
        }
    }
}

/// Walks one header field, changing a name that would be refused. Returns where the next begins; `None` if this one is
/// not whole.
fn field(block: &mut [u8], at: usize) -> Option<usize> {
    let first = *block.get(at)?;
    let bits = match first {
        0x80.. => return integer(block, at, 7).map(|(_, next)| next),
        0x20..0x40 => return integer(block, at, 5).map(|(_, next)| next),
        0x40.. => 6,
        _ => 4,
    };
    let (name, next) = integer(block, at, bits)?;
    match name {
        0 => {
            let (start, end) = string(block, next)?;
            let coded = block[next] & 0x80 != 0;
            rename(&mut block[start..end], coded);
            string(block, end).map(|(_, end)| end)
        }
        _ => {
            // Static names up to 62 fit the first byte where the prefix has 6 bits, else the one after it.
            for (from, to) in [(CONTENT_LENGTH, ACCEPT_CHARSET), (TRANSFER_ENCODING, IF_MODIFIED_SINCE)] {
                if name == usize::from(from) {
                    match bits {
                        6 => block[at] = block[at] & 0xc0 | to,
                        // 15 itself takes a second byte, of 0: the length stays.
                        _ => block[at + 1] = to - 15,
                    }
                }
            }
            string(block, next).map(|(_, end)| end)
        }
    }
}

fn rename(name: &mut [u8], coded: bool) {
    for refused in &REFUSED {
        if !coded && name == refused.plain {
            name[0] ^= refused.plain_change;
        } else if coded && name == refused.coded {
            name[0] ^= refused.coded_change;
        } else {
            continue;
        }
        return;
    }
}

/// Reads an integer of HPACK whose first bits stand in the byte at `at`.
fn integer(block: &[u8], at: usize, bits: u32) -> Option<(usize, usize)> {
    let most = (1 << bits) - 1;
    let mut value = usize::from(*block.get(at)?) & most;
    if value < most {
        return Some((value, at + 1));
    }
    for (i, byte) in block.get(at + 1..)?.iter().enumerate().take(4) {
        value += usize::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((value, at + 2 + i));
        }
    }
    None
}

/// Finds the bytes of a string whose length stands at `at`.
fn string(block: &[u8], at: usize) -> Option<(usize, usize)> {
    let (length, start) = integer(block, at, 7)?;
    let end = start.checked_add(length)?;
    (end <= block.len()).then_some((start, end))
}

impl<S: AsyncRead + Unpin> AsyncRead for Lenient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.walk(&mut buffer.filled_mut()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Lenient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A literal field with a name of its own.
    fn literal(first: u8, coded: bool, name: &[u8], value: &[u8]) -> Vec<u8> {
        let mut field = vec![first, if coded { 0x80 } else { 0 } | name.len() as u8];
        field.extend_from_slice(name);
        field.push(value.len() as u8);
        field.extend_from_slice(value);
        field
    }

    fn walked(fields: &[Vec<u8>]) -> Vec<u8> {
        let mut block = fields.concat();
        headers(&mut block, 0);
        block
    }

    #[test]
    fn a_refused_name_becomes_another_of_its_length() {
        for (refused, stand_in) in REFUSED.iter().zip(STAND_INS) {
            for first in [0x40, 0x00, 0x10] {
                let before = [vec![0x82, 0x86], literal(first, false, refused.plain, b"x"), vec![0x84]];
                let after = [vec![0x82, 0x86], literal(first, false, stand_in.as_bytes(), b"x"), vec![0x84]];
                assert_eq!(walked(&before), after.concat());
            }
        }
    }

    #[tokio::test]
    async fn the_coded_names_are_those_that_an_encoder_writes() {
        use tokio::io::AsyncReadExt;
        let (near, mut far) = tokio::io::duplex(1 << 16);
        let (mut send, connection) = h2::client::handshake(near).await.unwrap();
        let connection = tokio::spawn(connection);
        let mut request = http::Request::post("http://h/");
        for name in STAND_INS {
            request = request.header(name, "x");
        }
        let sent = send.send_request(request.body(()).unwrap(), true).unwrap();
        let mut written = Vec::new();
        let coded: Vec<Vec<u8>> = REFUSED
            .iter()
            .map(|refused| [&[refused.coded[0] ^ refused.coded_change], &refused.coded[1..]].concat())
            .collect();
        while !coded.iter().all(|coded| written.windows(coded.len()).any(|part| part == *coded)) {
            let read = far.read_buf(&mut written);
            let read = tokio::time::timeout(std::time::Duration::from_secs(10), read).await;
            assert!(read.expect("the encoder writes the names so").unwrap() > 0);
        }
        drop(sent);
        connection.abort();
    }

    #[test]
    fn other_fields_stay_as_they_are() {
        let fields = [
            vec![0x82, 0x3f, 0xe1, 0x1f],
            literal(0x40, false, b"tenant", b"connection"),
            vec![0x41, 3, b'a', b'b', b'c'],
            vec![0xff, 0x80, 0x01],
        ];
        assert_eq!(walked(&fields), fields.concat());
    }

    #[test]
    fn a_length_and_an_encoding_become_names_that_nothing_looks_at() {
        assert_eq!(walked(&[vec![0x40 | 28, 1, b'7']]), [0x40 | 15, 1, b'7']);
        assert_eq!(walked(&[vec![0x0f, 13, 1, b'7']]), [0x0f, 0, 1, b'7']);
        assert_eq!(walked(&[vec![0x1f, 13, 1, b'7']]), [0x1f, 0, 1, b'7']);
        assert_eq!(walked(&[vec![0x40 | 57, 1, b'x']]), [0x40 | 40, 1, b'x']);
    }

    #[test]
    fn nonsense_does_no_harm() {
        fastrand::seed(7);
        for _ in 0..20_000 {
            let mut lenient = Lenient::new(());
            lenient.skip = 0;
            for _ in 0..3 {
                let mut bytes: Vec<u8> = (0..fastrand::usize(..60)).map(|_| fastrand::u8(..)).collect();
                if bytes.len() > 3 && fastrand::bool() {
                    bytes[..4].copy_from_slice(&[0, 0, 30, HEADERS]);
                }
                let length = bytes.len();
                lenient.walk(&mut bytes);
                assert_eq!(bytes.len(), length);
            }
        }
    }
}
