//! So many calls at once.

mod layer;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub use layer::ConcurrencyLayer;
use micro_core::{Error, Kind, Result, Retry};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::wire::status::CLIENT;

/// Lets so many calls in at once, and lets as many more wait; what comes on top of that is refused at once. Clones share
/// the limit.
///
/// # Examples
///
/// ```
/// use micro_rpc::resilience::Concurrency;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let limit = Concurrency::new(1).waiting(0);
/// let place = limit.enter().await?;
/// assert!(limit.enter().await.is_err());
/// drop(place);
/// assert!(limit.enter().await.is_ok());
/// # Ok::<(), micro_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Concurrency(Arc<State>);

#[derive(Debug)]
struct State {
    limit: usize,
    queue: usize,
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// The place of one call. Dropped, the next has it.
#[derive(Debug)]
#[must_use = "the place is given back when this is dropped"]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Concurrency {
    /// Creates a limit of so many calls at once, at least one; ten times as many may wait.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let limit = limit.clamp(1, Semaphore::MAX_PERMITS);
        let places = Arc::new(Semaphore::new(limit));
        Self(Arc::new(State { limit, queue: limit.saturating_mul(10), places, waiting: AtomicUsize::new(0) }))
    }

    /// Sets how many calls may wait for a place. The limit is a new one, with all its places free.
    #[must_use]
    pub fn waiting(self, queue: usize) -> Self {
        let State { limit, .. } = *self.0;
        let places = Arc::new(Semaphore::new(limit));
        Self(Arc::new(State { limit, queue, places, waiting: AtomicUsize::new(0) }))
    }

    /// Waits for a place, in the order of coming. Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`Kind::ResourceExhausted`] if as many wait as may.
    pub async fn enter(&self) -> Result<Place> {
        if let Ok(permit) = Arc::clone(&self.0.places).try_acquire_owned() {
            return Ok(Place { _permit: permit });
        }
        let Some(_waiting) = Waiting::begin(&self.0) else {
            let State { limit, queue, .. } = *self.0;
            let text = format!(
                "the call was not made: {limit} are under way and {queue} wait, which is this client's limit; \
                 raise it, or call less"
            );
            return Err(Error::new(Kind::ResourceExhausted, text).id(CLIENT).with_retry(Retry::Never));
        };
        match Arc::clone(&self.0.places).acquire_owned().await {
            Ok(permit) => Ok(Place { _permit: permit }),
            Err(_) => Err(Error::new(Kind::Closed, "the limit was closed").id(CLIENT)),
        }
    }
}

/// One of those who wait.
struct Waiting<'a>(&'a State);

impl<'a> Waiting<'a> {
    fn begin(state: &'a State) -> Option<Self> {
        let more = |waiting: usize| (waiting < state.queue).then_some(waiting + 1);
        state.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok().map(|_| Self(state))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn so_many_are_in_so_many_wait_and_the_rest_is_refused() {
        let limit = Concurrency::new(2).waiting(1);
        let (first, _second) = (limit.enter().await.unwrap(), limit.enter().await.unwrap());
        let mut third = Box::pin(limit.enter());
        assert!((&mut third).now_or_never().is_none(), "it waits");
        let error = limit.enter().await.unwrap_err();
        assert_eq!(error.kind(), Kind::ResourceExhausted);
        assert!(error.to_string().contains("2 are under way and 1 wait"), "{error}");
        drop(first);
        assert!(third.await.is_ok());
    }

    #[tokio::test]
    async fn who_gives_up_waiting_leaves_its_place_to_others() {
        let limit = Concurrency::new(1).waiting(1);
        let _first = limit.enter().await.unwrap();
        let mut second = Box::pin(limit.enter());
        assert!((&mut second).now_or_never().is_none());
        drop(second);
        let mut third = Box::pin(limit.enter());
        assert!((&mut third).now_or_never().is_none(), "it waits and is not refused");
    }
}
