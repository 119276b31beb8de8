use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;
use tower_service::Service;

use super::{Next, Request, Response};

/// What can stand round handlers and calls: every [`tower_layer::Layer`] over [`Next`] whose service takes a [`Request`],
/// gives a [`Response`], and can be cloned.
///
/// What a foreign layer makes of an error is kept: ours is found in it, anything else is
/// [`Kind::Internal`](crate::Kind::Internal) with the foreign error as its source.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no middleware",
    note = "use `middleware::from_fn(|ctx: Context, request: Request, next: Next| async move {{ … }})`, or a `tower::Layer<Next>` whose service is `Clone + Send + Sync`"
)]
pub trait Middleware: Send + Sync + 'static {
    /// Puts it round what comes next.
    fn wrap(&self, next: Next) -> Next;
}

impl<L> Middleware for L
where
    L: Layer<Next> + Send + Sync + 'static,
    L::Service: Service<Request, Response = Response> + Clone + Send + Sync + 'static,
    <L::Service as Service<Request>>::Error: Into<Box<dyn StdError + Send + Sync>>,
    <L::Service as Service<Request>>::Future: Send + 'static,
{
    fn wrap(&self, next: Next) -> Next {
        Next::service(self.layer(next))
    }
}

/// A middleware of any kind, to be put in several places. A cheap clone.
#[derive(Clone)]
pub struct Shared(Arc<dyn Middleware>);

impl Shared {
    /// Creates one.
    pub fn new(middleware: impl Middleware) -> Self {
        Self(Arc::new(middleware))
    }
}

impl Layer<Next> for Shared {
    type Service = Next;

    fn layer(&self, next: Next) -> Next {
        self.0.wrap(next)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

/// Middleware in the order in which it was added.
#[derive(Clone, Default)]
pub struct Layers(Vec<Shared>);

impl Layers {
    /// Adds one, inside those that are there.
    pub fn add(&mut self, middleware: impl Middleware) {
        self.0.push(Shared::new(middleware));
    }

    /// Returns what all of them make together; `None` if there are none, so that nothing is paid for them.
    #[must_use]
    pub fn build(&self) -> Option<Next> {
        if self.0.is_empty() {
            return None;
        }
        Some(self.0.iter().rev().fold(Next::end(), |next, Shared(middleware)| middleware.wrap(next)))
    }
}

impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} layers", self.0.len())
    }
}
