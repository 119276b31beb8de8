use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::{Error, Kind, Result};

/// The results of a batch, to come: one an entry, in order.
///
/// Dropping it cancels nothing: the batch is on its way. A plugin makes it by [`Outcomes::pending`] and keeps the
/// [`Promise`].
///
/// # Examples
///
/// ```
/// use micro_core::broker::{Outcomes, Receipt};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (receipts, promise) = Outcomes::<Receipt>::pending(2);
/// promise.complete(1, Ok(Receipt::default()));
/// promise.complete(0, Ok(Receipt::default()));
/// assert!(receipts.await.iter().all(Result::is_ok));
/// # });
/// ```
#[must_use = "a receipt not waited for is a message whose loss nobody notices; await it, or drop it on purpose"]
pub struct Outcomes<T>(State<T>);

enum State<T> {
    Ready(Vec<Result<T>>),
    Pending(Arc<Shared<T>>),
    Taken,
}

struct Shared<T>(Mutex<Slots<T>>);

struct Slots<T> {
    results: Vec<Option<Result<T>>>,
    missing: usize,
    waker: Option<Waker>,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Slots<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The side that fills in the results. Dropped before all are in, the rest become [`Kind::Closed`].
pub struct Promise<T>(Arc<Shared<T>>);

impl<T> Outcomes<T> {
    /// Creates results that are there already.
    pub fn ready(results: Vec<Result<T>>) -> Self {
        Self(State::Ready(results))
    }

    /// Creates the same failure for every entry.
    pub fn failed(entries: usize, error: &Error) -> Self {
        Self::ready((0..entries).map(|_| Err(error.duplicate())).collect())
    }

    /// Creates results to come, and the side that fills them in.
    pub fn pending(entries: usize) -> (Self, Promise<T>) {
        let shared = Arc::new(Shared(Mutex::new(Slots {
            results: std::iter::repeat_with(|| None).take(entries).collect(),
            missing: entries,
            waker: None,
        })));
        (Self(State::Pending(Arc::clone(&shared))), Promise(shared))
    }

    /// Waits for a batch of one.
    ///
    /// # Errors
    ///
    /// That of the entry; [`Kind::Internal`] if the batch was empty.
    pub async fn first(self) -> Result<T> {
        self.await
            .into_iter()
            .next()
            .unwrap_or_else(|| Err(Error::new(Kind::Internal, "an empty batch has no first result")))
    }

    /// Waits for all and returns the values, or the first error.
    ///
    /// # Errors
    ///
    /// That of the first entry that failed; the others may have succeeded.
    pub async fn all(self) -> Result<Vec<T>> {
        self.await.into_iter().collect()
    }
}

impl<T> Promise<T> {
    /// Fills in the result of one entry; a second one for the same entry is ignored.
    pub fn complete(&self, entry: usize, result: Result<T>) {
        let waker = {
            let mut slots = self.0.lock();
            match slots.results.get_mut(entry) {
                Some(slot @ None) => *slot = Some(result),
                _ => return,
            }
            slots.missing -= 1;
            if slots.missing > 0 {
                return;
            }
            slots.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Fills in all entries that are open, with one lock and one wake-up.
    pub fn complete_all(&self, mut result: impl FnMut(usize) -> Result<T>) {
        let waker = {
            let mut slots = self.0.lock();
            if slots.missing == 0 {
                return;
            }
            for (entry, slot) in slots.results.iter_mut().enumerate() {
                if slot.is_none() {
                    *slot = Some(result(entry));
                }
            }
            slots.missing = 0;
            slots.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        self.complete_all(|_| {
            Err(Error::new(
                Kind::Closed,
                "the broker was closed before the server answered; the message may or may not be there",
            ))
        });
    }
}

impl<T> Unpin for Outcomes<T> {}

impl<T> Future for Outcomes<T> {
    type Output = Vec<Result<T>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match std::mem::replace(&mut self.0, State::Taken) {
            State::Ready(results) => Poll::Ready(results),
            State::Pending(shared) => {
                {
                    let mut slots = shared.lock();
                    if slots.missing == 0 {
                        let results = std::mem::take(&mut slots.results);
                        let mut all = Vec::with_capacity(results.len());
                        all.extend(results.into_iter().flatten());
                        return Poll::Ready(all);
                    }
                    match &mut slots.waker {
                        Some(waker) => waker.clone_from(context.waker()),
                        none => *none = Some(context.waker().clone()),
                    }
                }
                self.0 = State::Pending(shared);
                Poll::Pending
            }
            State::Taken => panic!("outcomes polled after they were ready"),
        }
    }
}

impl<T> fmt::Debug for Outcomes<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            State::Ready(_) => "Outcomes(ready)",
            State::Pending(_) => "Outcomes(pending)",
            State::Taken => "Outcomes(taken)",
        })
    }
}

impl<T> fmt::Debug for Promise<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Promise")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dropped_promise_says_that_the_outcome_is_unknown() {
        let (outcomes, promise) = Outcomes::<()>::pending(2);
        promise.complete(0, Ok(()));
        drop(promise);
        let results = outcomes.await;
        assert!(results[0].is_ok());
        assert_eq!(results[1].as_ref().unwrap_err().kind(), Kind::Closed);
    }

    #[tokio::test]
    async fn results_come_in_the_order_of_the_entries() {
        let (outcomes, promise) = Outcomes::<u32>::pending(3);
        let waiting = tokio::spawn(outcomes.all());
        for entry in [2, 0, 1] {
            promise.complete(entry, Ok(entry as u32 * 10));
        }
        assert_eq!(waiting.await.unwrap().unwrap(), [0, 10, 20]);
    }
}
