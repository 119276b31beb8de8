//! What stands round handlers and calls: the same for the server, the client and events.
//!
//! A middleware is a [`tower`](https://docs.rs/tower) layer over [`Next`], and [`from_fn`] makes one of an async function.
//! It sees a [`Request`], may change it, go on with [`Next::run`] or answer itself, and sees what comes back. The first
//! that is added is the outermost.
//!
//! | round | one run is | the answer | an error |
//! |---|---|---|---|
//! | a server | one call, a stream from its opening to its end | goes to the caller | goes to the caller |
//! | a client | one call with all its tries, or the opening of a stream | goes to the caller | is the caller's |
//! | events | one delivery, or one batch | acknowledges | is a failure of the handler: it is tried again |
//!
//! | ready-made | does |
//! |---|---|
//! | [`logging`] | one line a call, with what it took and how it ended |
//! | [`timeout`] | ends what takes longer |
//! | [`allow`] | lets through what a closure says, as for accounts |
//!
//! # Examples
//!
//! ```
//! use micro_core::middleware::{Next, Request, from_fn};
//! use micro_core::{Context, Error};
//!
//! let only_with_tenant = from_fn(|context: Context, request: Request, next: Next| async move {
//!     if request.metadata().get_str("tenant").is_none() {
//!         return Err(Error::bad_request("shop", "send the header tenant"));
//!     }
//!     next.run(context, request).await
//! });
//! # let _ = only_with_tenant;
//! ```

mod allow;
mod from_fn;
mod layers;
mod logging;
mod message;
mod next;
mod timeout;

pub use allow::{Allow, AllowService, allow};
pub use from_fn::{FromFn, FromFnService, from_fn};
pub use layers::{Layers, Middleware, Shared};
pub use logging::{Logging, LoggingService, logging};
pub use message::{Body, Request, Response, Rest, Shape, Side};
pub use next::Next;
pub use timeout::{Timeout, TimeoutService, timeout};
