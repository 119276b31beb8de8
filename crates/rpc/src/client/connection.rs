//! One connection to a node, and what keeps it going.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::SendStream;
use h2::client::{ResponseFuture, SendRequest};
use http::Request;
use micro_core::{Error, Kind, Result};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::channel::Channel;
use super::pool::PoolOptions;
use crate::wire::keep_alive::Heard;
use crate::wire::lost;
use crate::wire::status::CLIENT;
use crate::wire::stream::Stream;
use crate::wire::{CONNECTION_WINDOW, DATA_FRAME, HEADER_LIST, SMALL_FRAMES, STREAM_WINDOW, socket};

pub(super) struct Connection {
    number: u64,
    channel: Weak<Channel>,
    send: SendRequest<Bytes>,
    in_flight: AtomicUsize,
    last_used: Mutex<Instant>,
    heard: Arc<Heard>,
    /// It takes no new calls.
    closed: AtomicBool,
    /// A call had no answer in time, and a ping has none yet.
    doubted: AtomicBool,
    /// Why it broke. A call that comes just then hears only that it did.
    broke: OnceLock<String>,
}

impl Connection {
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Tells whether new calls may go on it.
    pub(super) fn is_fit(&self) -> bool {
        !self.closed.load(Ordering::Relaxed) && !self.doubted.load(Ordering::Relaxed)
    }

    /// Tells whether three quarters of the calls that may be on it are: `streams`, or fewer if the peer takes no more.
    pub(super) fn is_nearly_full(&self, streams: usize) -> bool {
        let calls = self.in_flight();
        // Looking up what the peer takes costs a lock; no peer takes so few.
        calls > FEW && calls * 4 >= streams.min(self.send.current_max_send_streams()) * 3
    }

    pub(super) fn heard(&self) -> &Heard {
        &self.heard
    }

    /// Has the other side pinged now; until it answers, new calls go elsewhere.
    pub(super) fn doubt(&self) {
        self.doubted.store(true, Ordering::Relaxed);
        self.heard.doubt();
    }

    /// Returns the error of a call that was lost.
    pub(super) fn lost(&self, error: &h2::Error) -> Error {
        let lost = lost::error(error);
        match self.broke.get() {
            Some(why) if error.is_io() => lost.source(why.clone()),
            _ => lost,
        }
    }

    /// Takes a place.
    pub(super) fn lease(self: &Arc<Self>) -> Lease {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Lease(self.clone())
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        if let Some(channel) = self.channel.upgrade() {
            channel.remove(self);
        }
    }

    fn idle_since(&self) -> Option<Instant> {
        (self.in_flight() == 0).then(|| *self.last_used.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// As many calls fit on any connection.
const FEW: usize = 4;

/// The place of one call on a connection.
pub(super) struct Lease(Arc<Connection>);

impl Lease {
    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.0
    }

    /// Sends the head of a request. Fails only before anything was sent.
    pub(super) fn send(&self, request: Request<()>) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        // A fresh clone is always ready: the calls over the peer's limit queue inside.
        let sent = self.0.send.clone().send_request(request, false);
        if sent.is_err() {
            // It is going away, or has no stream ids left.
            self.0.close();
        }
        sent
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.0.in_flight.fetch_sub(1, Ordering::Relaxed) == 1 {
            *self.0.last_used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
    }
}

/// Connects, and begins to drive the connection on this runtime.
pub(super) async fn open(channel: &Arc<Channel>, options: &PoolOptions, number: u64) -> Result<Arc<Connection>> {
    let address = &channel.address;
    let keep_alive = options.keep_alive;
    let opening = async {
        let stream = TcpStream::connect(&**address).await.map_err(|error| refused(address, error))?;
        socket::prepare(&stream, keep_alive.interval + keep_alive.timeout);
        let mut builder = h2::client::Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(DATA_FRAME)
            .max_header_list_size(HEADER_LIST)
            .data_frame_budget(SMALL_FRAMES);
        let stream = match &options.tls {
            None => Stream::Plain(stream),
            Some(tls) => Stream::client(tls.connect(address, stream).await.map_err(connecting)?),
        };
        builder.handshake(stream).await.map_err(|error| {
            Error::new(Kind::Unavailable, format!("{address} does not speak HTTP/2")).id(CLIENT).source(error)
        })
    };
    let (send, mut h2) = timeout(options.dial_timeout, opening).await.unwrap_or_else(|_| {
        let text = format!("{address} cannot be reached: no connection within {:?}", options.dial_timeout);
        Err(Error::new(Kind::Unavailable, text).id(CLIENT))
    })?;
    let pings = h2.ping_pong();
    let connection = Arc::new(Connection {
        number,
        channel: Arc::downgrade(channel),
        send,
        in_flight: AtomicUsize::new(0),
        last_used: Mutex::new(Instant::now()),
        heard: Arc::default(),
        closed: AtomicBool::new(false),
        doubted: AtomicBool::new(false),
        broke: OnceLock::new(),
    });
    let (weak, heard, idle) = (Arc::downgrade(&connection), connection.heard.clone(), options.idle);
    let node = address.clone();
    let driven = Driven(weak.clone());
    tokio::spawn(async move {
        let silent = async {
            match pings {
                Some(pings) => {
                    let answered = || {
                        if let Some(connection) = weak.upgrade() {
                            connection.doubted.store(false, Ordering::Relaxed);
                        }
                    };
                    let waits = || weak.upgrade().is_some_and(|connection| connection.in_flight() > 0);
                    keep_alive.watch_server(pings, &heard, waits, answered).await;
                }
                None => std::future::pending().await,
            }
        };
        let broke = |why: String| {
            if let Some(connection) = weak.upgrade() {
                let _ = connection.broke.set(why);
            }
        };
        drive(h2, silent, unused(&weak, idle), broke, &node).await;
        drop(driven);
    });
    Ok(connection)
}

/// A connection that is driven: it is out of the pool as soon as it no longer is, also when its runtime ends.
struct Driven(Weak<Connection>);

impl Drop for Driven {
    fn drop(&mut self) {
        if let Some(connection) = self.0.upgrade() {
            connection.close();
        }
    }
}

/// Drives a connection until it ends, is found dead, or is not needed.
async fn drive<C>(
    h2: C,
    silent: impl Future<Output = ()>,
    unused: impl Future<Output = ()>,
    broke: impl Fn(String),
    node: &str,
) where
    C: Future<Output = Result<(), h2::Error>> + Unpin,
{
    let (mut h2, mut silent, mut unused) = (h2, pin!(silent), pin!(unused));
    let mut needed = true;
    poll_fn(|cx| {
        if let Poll::Ready(ended) = Pin::new(&mut h2).poll(cx) {
            if let Err(error) = ended {
                tracing::debug!(node, %error, "a connection broke");
                broke(error.to_string());
            }
            return Poll::Ready(());
        }
        if silent.as_mut().poll(cx).is_ready() {
            tracing::warn!(node, "a connection is closed: the node does not answer pings");
            return Poll::Ready(());
        }
        // Out of the pool it ends by itself, once its last call is done.
        if needed && unused.as_mut().poll(cx).is_ready() {
            needed = false;
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await;
}

/// Waits until the connection was unused for the time, and takes it out of the pool.
async fn unused(connection: &Weak<Connection>, limit: Duration) {
    let mut pause = limit;
    loop {
        sleep(pause).await;
        let Some(connection) = connection.upgrade() else { return };
        pause = limit;
        if let Some(since) = connection.idle_since() {
            let idle = since.elapsed();
            if idle >= limit {
                return connection.close();
            }
            pause = limit - idle;
        }
    }
}

fn refused(address: &str, error: io::Error) -> Error {
    let made = match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            let text =
                format!("connection to {address} was refused: nothing listens there; see that the node still runs");
            Error::new(Kind::Refused, text)
        }
        _ => Error::new(Kind::Unavailable, format!("{address} cannot be reached")),
    };
    connecting(made).source(error)
}

fn connecting(error: Error) -> Error {
    error.id(CLIENT).operation("client.connect")
}
