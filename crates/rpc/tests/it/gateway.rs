//! Requests as go-micro's HTTP gateway sends them: with headers of its own HTTP request in them.

use bytes::{BufMut, BytesMut};
use micro_core::Context;
use micro_rpc::Endpoint;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::raw::frame;
use crate::world::{Text, options, start, text};

/// A literal field that is not coded, as `first` says also for the tables.
fn field(block: &mut BytesMut, first: u8, name: &str, value: &str) {
    block.put_u8(first);
    for text in [name, value] {
        block.put_u8(text.len() as u8);
        block.extend_from_slice(text.as_bytes());
    }
}

fn put_frame(out: &mut BytesMut, kind: u8, flags: u8, stream: u32, body: &[u8]) {
    out.put_uint(body.len() as u64, 3);
    out.put_u8(kind);
    out.put_u8(flags);
    out.put_u32(stream);
    out.extend_from_slice(body);
}

// features: B15
#[tokio::test]
async fn headers_that_http2_forbids_do_not_reset_a_call_that_comes_through_a_gateway() {
    let names = Endpoint::unary("See.Names", |context: Context, _: Text| async move {
        let names: Vec<_> =
            context.metadata().iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect();
        Ok(text(names.join(",")))
    });
    let world = start(options(), vec![names]).await;
    let mut out = BytesMut::from(&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..]);
    put_frame(&mut out, 4, 0, 0, &[]);
    // Twice: the second time the fields are references into the header table.
    for (stream, second) in [(1, false), (3, true)] {
        let mut block = BytesMut::new();
        block.extend_from_slice(&[0x83, 0x86]);
        if second {
            // Newest first: tenant, content-length, connection, content-type, :path.
            block.extend_from_slice(&[0xc2, 0xc1, 0xc0, 0xbf, 0xbe]);
        } else {
            block.extend_from_slice(&[0x44, 10]);
            block.extend_from_slice(b"/See/Names");
            field(&mut block, 0x40, "content-type", "application/grpc");
            field(&mut block, 0x40, "connection", "keep-alive");
            block.extend_from_slice(&[0x5c, 2, b'4', b'2']);
            field(&mut block, 0x40, "tenant", "acme");
        }
        put_frame(&mut out, 1, 4, stream, &block);
        put_frame(&mut out, 0, 1, stream, &frame(&text("x")));
    }
    let mut stream = TcpStream::connect(&world.address).await.unwrap();
    stream.write_all(&out).await.unwrap();
    let mut read = Vec::new();
    let answer = "content-type,tenant,remote";
    let count = |read: &[u8]| read.windows(answer.len()).filter(|part| *part == answer.as_bytes()).count();
    while count(&read) < 2 {
        let more = tokio::time::timeout(std::time::Duration::from_secs(10), stream.read_buf(&mut read)).await;
        assert!(more.expect("both calls are answered").unwrap() > 0, "{}", String::from_utf8_lossy(&read));
    }
}
