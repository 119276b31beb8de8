//! One connection, on the core it was dealt to.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::waiting::{Stamp, Waiting};
use super::{Phase, Shared, exchange};
use crate::wire::HANDSHAKE;
use crate::wire::lenient::Lenient;
use crate::wire::stream::Stream;

/// A connection that is new when the server stops has so long to begin, so that it can be told to go elsewhere. One that
/// never says a word must not hold up the stop.
const LAST_WORD: Duration = Duration::from_millis(500);

/// What the calls of a connection share.
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    /// The address as go-micro's `Remote` shows it.
    pub(super) remote: Bytes,
    pub(super) shared: Arc<Shared>,
    pub(super) waiting: Option<Arc<Waiting>>,
}

/// Why a connection did not begin.
enum Begun {
    NoTls(io::Error),
    NoHttp2(h2::Error),
}

/// Serves a connection to its end.
pub(super) async fn serve(
    stream: TcpStream,
    address: SocketAddr,
    shared: Arc<Shared>,
    mut phase: watch::Receiver<Phase>,
) {
    let handshake = timeout(HANDSHAKE, async {
        let stream = match &shared.tls {
            None => Stream::Plain(stream),
            Some(tls) => Stream::Server(Box::new(tls.accept(stream).await.map_err(Begun::NoTls)?)),
        };
        shared.options.h2().handshake::<_, Bytes>(Lenient::new(stream)).await.map_err(Begun::NoHttp2)
    });
    let stopped = async {
        let _ = phase.wait_for(|phase| *phase >= Phase::Stopping).await;
        sleep(LAST_WORD).await;
    };
    let greeted = tokio::select! {
        biased;
        greeted = handshake => greeted,
        () = stopped => return tracing::debug!(%address, "a silent connection is closed: the server stops"),
    };
    let mut connection = match greeted {
        Ok(Ok(connection)) => connection,
        Ok(Err(Begun::NoTls(error))) => return tracing::debug!(%address, %error, "a connection comes to no TLS"),
        Ok(Err(Begun::NoHttp2(error))) => return tracing::debug!(%address, %error, "a connection speaks no HTTP/2"),
        Err(_) => return tracing::debug!(%address, "a connection did not begin to speak HTTP/2 in time"),
    };
    let keep_alive = shared.options.keep_alive_times();
    let pings = connection.ping_pong();
    let mut silent = pin!(async move {
        match pings {
            Some(pings) => keep_alive.watch_client(pings).await,
            None => std::future::pending().await,
        }
    });
    let remote = address.to_string().into();
    let waiting = shared.waiting();
    let stamp = waiting.as_ref().map(|_| Stamp::new());
    let waker = stamp.as_ref().map(Stamp::waker);
    let peer = Peer { address, remote, shared, waiting };

    let mut stopping = phase.clone();
    let mut stop = pin!(async move { stopping.wait_for(|phase| *phase >= Phase::Stopping).await.map(drop) });
    let mut cut = pin!(async move { phase.wait_for(|phase| *phase == Phase::Cut).await.map(drop) });
    let mut is_stopping = false;
    poll_fn(|cx| {
        let woken = stamp.as_ref().and_then(|stamp| stamp.turn(cx));
        let cx = &mut Context::from_waker(waker.as_ref().unwrap_or(cx.waker()));
        loop {
            match connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => exchange::begin(&peer, request, respond, woken),
                Poll::Ready(Some(Err(error))) => {
                    tracing::debug!(%address, %error, "a connection broke");
                    return Poll::Ready(());
                }
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        if !is_stopping && stop.as_mut().poll(cx).is_ready() {
            is_stopping = true;
            connection.graceful_shutdown();
            cx.waker().wake_by_ref();
        }
        if cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if silent.as_mut().poll(cx).is_ready() {
            tracing::debug!(%address, "a connection is closed: its peer is gone");
            return Poll::Ready(());
        }
        Poll::Pending
    })
    .await;
}
