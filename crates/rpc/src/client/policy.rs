//! What a client does against trouble, for all its calls.

use crate::resilience::{Backoff, Breaker, Budget, Concurrency, Hedge, Rate};

#[derive(Debug, Default)]
pub(super) struct Policy {
    pub(super) backoff: Backoff,
    /// `None` is without a limit.
    pub(super) budget: Option<Budget>,
    pub(super) hedge: Option<Hedge>,
    pub(super) breaker: Option<Breaker>,
    pub(super) concurrency: Option<Concurrency>,
    pub(super) rate: Option<Rate>,
}

impl Policy {
    pub(super) fn new() -> Self {
        Self { budget: Some(Budget::default()), ..Self::default() }
    }

    /// Counts a call, which brings its share of the budget.
    pub(super) fn call(&self) {
        if let Some(budget) = &self.budget {
            budget.call();
        }
    }

    /// Tells whether one more try may be made, and takes it out of the budget.
    pub(super) fn may_try_again(&self) -> bool {
        self.budget.as_ref().is_none_or(Budget::retry)
    }
}
