use std::sync::Arc;
use std::time::Duration;

use micro_core::codec::Format;
use micro_core::selector::{Filter, Selector};
use micro_core::{Context, Headers};

use crate::resilience::{Backoff, Concurrency, Hedge, Rate};

/// What one call asks for beside its request.
#[derive(Default, Clone)]
pub(super) struct CallOptions {
    pub(super) timeout: Option<Duration>,
    pub(super) retries: Option<u32>,
    pub(super) address: Option<Arc<str>>,
    pub(super) selector: Option<Arc<dyn Selector>>,
    pub(super) key: Option<u64>,
    pub(super) filters: Vec<Filter>,
    pub(super) metadata: Headers,
    pub(super) context: Option<Context>,
    pub(super) format: Option<Format>,
    pub(super) forward_authorization: bool,
    pub(super) idempotent: bool,
    pub(super) backoff: Option<Backoff>,
    pub(super) hedge: Option<Option<Hedge>>,
    pub(super) concurrency: Option<Concurrency>,
    pub(super) rate: Option<Rate>,
}

/// Gives a call the methods that set its options.
macro_rules! setters {
    ($($call:ident<$($type:ident),+>),+ $(,)?) => {$(
        impl<'a, $($type: Payload),+> $call<'a, $($type),+> {
            /// Sets how long the call may take with all its tries. Inside a handler, the handler's own deadline holds
            /// where it is earlier.
            pub fn timeout(mut self, timeout: Duration) -> Self {
                self.options.timeout = Some(timeout);
                self
            }

            /// Sets how often it is tried again if it surely did not run, or is [idempotent](Self::idempotent).
            pub fn retries(mut self, retries: u32) -> Self {
                self.options.retries = Some(retries);
                self
            }

            /// Sends the call to this `host:port`; the registry is not asked.
            pub fn address(mut self, address: impl Into<Arc<str>>) -> Self {
                self.options.address = Some(address.into());
                self
            }

            /// Sets how the node is chosen.
            pub fn selector(mut self, selector: Arc<dyn Selector>) -> Self {
                self.options.selector = Some(selector);
                self
            }

            /// Sets what the call is about: a user, a session, an order. A selector that goes by key, as consistenthash or
            /// sticky, sends calls of one key to one node.
            pub fn key(mut self, key: impl AsRef<[u8]>) -> Self {
                self.options.key = Some(Choice::hash(key));
                self
            }

            /// Keeps the nodes that pass; several filters must all be passed.
            pub fn filter(mut self, filter: Filter) -> Self {
                self.options.filters.push(filter);
                self
            }

            /// Adds a metadata pair. Names travel in lower case; the values of names ending in `-bin` may be any bytes.
            pub fn metadata(mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
                self.options.metadata.append(name, value);
                self
            }

            /// Sets the context the call is made under, in place of the current handler's: its deadline and trace.
            pub fn context(mut self, context: &Context) -> Self {
                self.options.context = Some(context.clone());
                self
            }

            /// Sends the `authorization` that the handler received on to the next service. By default it stays here.
            pub fn forward_authorization(mut self) -> Self {
                self.options.forward_authorization = true;
                self
            }

            /// Sets the format of the bodies.
            pub fn content_type(mut self, format: Format) -> Self {
                self.options.format = Some(format);
                self
            }

            /// Sets the pauses before further tries.
            pub fn backoff(mut self, backoff: Backoff) -> Self {
                self.options.backoff = Some(backoff);
                self
            }

            /// Sets when a second node is asked, if the call is [idempotent](Self::idempotent); `None` for never. A stream is
            /// never opened twice at once.
            pub fn hedge(mut self, hedge: impl Into<Option<Hedge>>) -> Self {
                self.options.hedge = Some(hedge.into());
                self
            }

            /// Has the call wait for a place of this limit, in place of the client's.
            pub fn concurrency(mut self, limit: &Concurrency) -> Self {
                self.options.concurrency = Some(limit.clone());
                self
            }

            /// Has the call wait for its turn of this rate, in place of the client's.
            pub fn rate(mut self, rate: &Rate) -> Self {
                self.options.rate = Some(rate.clone());
                self
            }

            /// Says that the call may run twice without harm, so that it is tried again after any failure that another
            /// try can mend.
            pub fn idempotent(mut self) -> Self {
                self.options.idempotent = true;
                self
            }
        }
    )+};
}

pub(super) use setters;
