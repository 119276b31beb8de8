//! Chance, of the thread or of a seed.

use std::sync::{Mutex, PoisonError};

use super::{Candidates, Choice};

/// Where a strategy's random numbers come from.
#[derive(Debug, Default)]
pub(super) enum Dice {
    #[default]
    Thread,
    Seeded(Mutex<fastrand::Rng>),
}

/// How often a place is drawn before the fit ones are counted.
const DRAWS: usize = 8;

impl Dice {
    pub(super) fn seeded(seed: u64) -> Self {
        Self::Seeded(Mutex::new(fastrand::Rng::with_seed(seed)))
    }

    /// Returns a number under `end`, which is not zero.
    pub(super) fn under(&self, end: usize) -> usize {
        match self {
            Self::Thread => fastrand::usize(..end),
            Self::Seeded(rng) => rng.lock().unwrap_or_else(PoisonError::into_inner).usize(..end),
        }
    }

    /// Returns a number from 0 to 1.
    pub(super) fn share(&self) -> f32 {
        match self {
            Self::Thread => fastrand::f32(),
            Self::Seeded(rng) => rng.lock().unwrap_or_else(PoisonError::into_inner).f32(),
        }
    }

    /// Draws a node that the call may go to, each as likely as the others.
    pub(super) fn draw(&self, candidates: &Candidates, choice: &Choice<'_>) -> Option<usize> {
        if choice.is_open() {
            return (!candidates.is_empty()).then(|| self.under(candidates.len()));
        }
        self.draw_where(candidates.len(), |place| choice.allows(&candidates[place]))
    }

    /// Draws another node than the one at `place`.
    pub(super) fn draw_other(&self, candidates: &Candidates, choice: &Choice<'_>, place: usize) -> Option<usize> {
        let count = candidates.len();
        if count < 2 {
            return None;
        }
        if choice.is_open() {
            let other = self.under(count - 1);
            return Some(other + usize::from(other >= place));
        }
        self.draw_where(count, |other| other != place && choice.allows(&candidates[other]))
    }

    fn draw_where(&self, count: usize, fit: impl Fn(usize) -> bool) -> Option<usize> {
        if count == 0 {
            return None;
        }
        if let Some(place) = (0..DRAWS).map(|_| self.under(count)).find(|place| fit(*place)) {
            return Some(place);
        }
        // Few are fit: the one of them whose turn it is.
        let left = (0..count).filter(|place| fit(*place)).count();
        let nth = (left > 0).then(|| self.under(left))?;
        (0..count).filter(|place| fit(*place)).nth(nth)
    }
}
