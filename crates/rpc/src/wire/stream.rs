use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use micro_tls::{ClientStream, ServerStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What HTTP/2 is spoken on.
pub(crate) enum Stream {
    Plain(TcpStream),
    Client(Box<Secure>),
    Server(Box<ServerStream<TcpStream>>),
}

/// The client's side of TLS.
pub(crate) struct Secure {
    stream: ClientStream<TcpStream>,
    /// Why a write failed, until it is known whether the other side said why.
    failed: Option<io::Error>,
}

impl Stream {
    pub(crate) fn client(stream: ClientStream<TcpStream>) -> Self {
        Self::Client(Box::new(Secure { stream, failed: None }))
    }
}

impl Secure {
    /// Writes, and where that fails looks for the reason: a side that refuses our certificate says so before it closes, and
    /// what it said may not have been read yet.
    fn write<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut ClientStream<TcpStream>>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if self.failed.is_none() {
            match write(Pin::new(&mut self.stream), cx) {
                Poll::Ready(Err(error)) => self.failed = Some(error),
                written => return written,
            }
        }
        let mut rest = [0; 256];
        // What cannot be written to any more can be read to its end.
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut ReadBuf::new(&mut rest)));
        let failed = self.failed.take().unwrap_or_else(|| io::ErrorKind::BrokenPipe.into());
        Poll::Ready(Err(match read {
            Err(said) if micro_tls::rejected(&said).is_some() => told(said),
            _ => failed,
        }))
    }
}

/// Puts what the other side said into words: the connection layer keeps only the text of an error.
fn told(error: io::Error) -> io::Error {
    match micro_tls::rejected(&error) {
        Some(why) => io::Error::new(error.kind(), format!("over TLS the other side said: {why}")),
        None => error,
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Client(secure) => Pin::new(&mut secure.stream).poll_read(cx, buf).map_err(told),
            Self::Server(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Client(secure) => secure.write(cx, |stream, cx| stream.poll_write(cx, bytes)),
            Self::Server(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Client(secure) => secure.write(cx, |stream, cx| stream.poll_write_vectored(cx, slices)),
            Self::Server(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Client(secure) => secure.stream.is_write_vectored(),
            Self::Server(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Client(secure) => secure.write(cx, |stream, cx| stream.poll_flush(cx)),
            Self::Server(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Client(secure) => Pin::new(&mut secure.stream).poll_shutdown(cx),
            Self::Server(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
