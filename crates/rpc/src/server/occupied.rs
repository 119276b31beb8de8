//! How many calls of one endpoint run at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::routes::Route;

/// A limit and how much of it is taken.
#[derive(Debug)]
pub(super) struct Places {
    limit: usize,
    taken: AtomicUsize,
}

impl Places {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, taken: AtomicUsize::new(0) }
    }
}

/// A place taken, until it is dropped.
pub(super) struct Occupied(Arc<Route>);

impl Occupied {
    /// Takes a place, if the endpoint has a limit; the limit is the error of one that is full.
    pub(super) fn take(route: &Arc<Route>) -> Result<Option<Self>, usize> {
        let Some(places) = &route.places else { return Ok(None) };
        if places.taken.fetch_add(1, Ordering::Relaxed) >= places.limit {
            places.taken.fetch_sub(1, Ordering::Relaxed);
            return Err(places.limit);
        }
        Ok(Some(Self(route.clone())))
    }
}

impl Drop for Occupied {
    fn drop(&mut self) {
        if let Some(places) = &self.0.places {
            places.taken.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
