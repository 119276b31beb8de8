//! The moment when a call is about to begin, and what stops it then.

use std::sync::Arc;
use std::time::Instant;

use super::Shared;
use super::dispatch::Deadline;
use super::handler::Handler;
use super::routes::Route;
use super::waiting::Waiting;
use crate::measure::Refused;
use crate::wire::failure::Failure;

/// What is looked at when a call's turn comes.
pub(super) struct Turn {
    pub(super) shared: Arc<Shared>,
    pub(super) deadline: Option<Deadline>,
    /// When there was something to read of it.
    pub(super) arrived: Instant,
    pub(super) waiting: Option<Arc<Waiting>>,
}

impl Turn {
    /// Returns when the call begins, by the clock of its runtime, or why it does not.
    pub(super) fn take(self, route: &Route) -> Result<tokio::time::Instant, Failure> {
        if let Some(waiting) = &self.waiting {
            let now = Instant::now();
            let waited = now.saturating_duration_since(self.arrived);
            if waiting.is_too_long(waited, now) {
                let text = format!(
                    "the server has more to do than it can: {} waited {waited:.1?}; try again later",
                    route.name
                );
                return Err(self.shared.refuse(route, Refused::Overload, Failure::too_many(text)));
            }
        }
        let now = tokio::time::Instant::now();
        let Some(deadline) = self.deadline else { return Ok(now) };
        let left = deadline.at.saturating_duration_since(now.into_std());
        let late = |text| Err(self.shared.refuse(route, Refused::Deadline, Failure::too_late(text)));
        if left.is_zero() {
            let text =
                format!("the {:?} that the caller gave {} were over before it began", deadline.after, route.name);
            return late(text);
        }
        if self.shared.options.refuses_late()
            && matches!(route.handler, Handler::Unary(_))
            && let Some(fastest) = route.fastest.hopeless(left, now)
        {
            let text = format!(
                "{} cannot be done in the {left:.1?} that are left to it: the fastest took {fastest:.1?} of late",
                route.name
            );
            return late(text);
        }
        Ok(now)
    }
}
