//! gRPC on `h2`: frames, trailers, codes. The one place that knows the connection layer; nothing of it is public.

pub(crate) mod base64;
pub(crate) mod failure;
pub(crate) mod frame;
pub(crate) mod json;
pub(crate) mod keep_alive;
pub(crate) mod lenient;
pub(crate) mod lost;
pub(crate) mod message;
pub(crate) mod messages;
pub(crate) mod metadata;
pub(crate) mod outbox;
pub(crate) mod percent;
pub(crate) mod pump;
pub(crate) mod socket;
pub(crate) mod status;
pub(crate) mod stream;
pub(crate) mod timeout;

use std::time::Duration;

/// What is spoken over TLS.
pub(crate) const ALPN: &[&str] = &["h2"];

/// The largest message either way, as go-micro has it.
pub(crate) const MESSAGE_LIMIT: usize = 4 << 20;

/// How much a peer may send on one stream before it is read.
pub(crate) const STREAM_WINDOW: u32 = 1 << 20;

/// How much a peer may send on a connection before it is read.
pub(crate) const CONNECTION_WINDOW: u32 = 4 << 20;

/// The largest DATA frame we read, and the size up to which stream messages that are ready go out as one.
pub(crate) const DATA_FRAME: u32 = 32 << 10;

/// How much metadata a call may carry.
pub(crate) const HEADER_LIST: u32 = 64 << 10;

/// What `h2` lets unread small DATA frames cost before it closes the connection. Its own measure is half the window,
/// which a Go or volo peer (one frame a message) passes with a slow reader; this one holds a full window of 15-byte
/// frames, and bounds their bookkeeping to about 30 MiB a connection.
pub(crate) const SMALL_FRAMES: usize = 64 << 20;

/// How long a peer may take to begin speaking HTTP/2.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(10);
