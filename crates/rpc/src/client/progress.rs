//! How far a call has come, for the one who has to say that its time is over.

use std::sync::{Arc, Mutex, PoisonError};

use micro_core::selector::InFlight;
use micro_core::{Error, Kind};
use tokio::time::Instant;

use super::attempts::half_way;
use super::choose::Chosen;
use super::connection::Connection;
use super::plan::Plan;
use crate::resilience::Place;
use crate::wire::status::CLIENT;

#[derive(Default)]
pub(super) struct Progress(Mutex<State>);

#[derive(Default)]
struct State {
    tries: u32,
    at: Option<Chosen>,
    /// The call of the try under way. Dropped with this, if nobody waits any longer.
    in_flight: Option<InFlight>,
    /// The place among the calls at once.
    place: Option<Place>,
    /// The connection that the answer is awaited on, with what it had heard before.
    waiting: Option<(Arc<Connection>, u64)>,
}

impl Progress {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The call was let in.
    pub(super) fn entered(&self, place: Place) {
        self.change(|state| state.place = Some(place));
    }

    /// Returns the place, to be kept for longer than the tries.
    pub(super) fn leave(&self) -> Option<Place> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).place.take()
    }

    pub(super) fn trying(&self, at: &Chosen, in_flight: Option<InFlight>) {
        self.change(|state| {
            state.tries += 1;
            state.at = Some(at.clone());
            state.in_flight = in_flight;
            state.waiting = None;
        });
    }

    pub(super) fn sent(&self, connection: &Arc<Connection>) {
        self.change(|state| {
            state.waiting = Some((connection.clone(), connection.heard().count()));
            if let Some(call) = &mut state.in_flight {
                call.sent();
            }
        });
    }

    /// Returns where the try under way is, and how many were before it.
    pub(super) fn at(&self) -> Option<(Chosen, u32)> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.at.clone().map(|at| (at, state.tries.saturating_sub(1)))
    }

    /// Returns the call of the try under way: whoever takes it says how it ended.
    pub(super) fn take(&self) -> Option<InFlight> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).in_flight.take()
    }

    /// Returns how much was heard on the connection, to be compared with later.
    pub(super) fn heard(&self) -> Option<u64> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.waiting.as_ref().map(|(connection, _)| connection.heard().count())
    }

    /// Tells whether nothing was heard on the connection since then, or since the request went out if that was later; it is
    /// pinged then.
    pub(super) fn doubt_silent(&self, since: Option<u64>) -> bool {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((connection, sent)) = &state.waiting else { return false };
        let silent = connection.heard().count() == since.unwrap_or(*sent);
        if silent {
            connection.doubt();
        }
        silent
    }

    /// Tells whether the connection has not answered its ping.
    pub(super) fn is_doubted(&self) -> bool {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.waiting.as_ref().is_some_and(|(connection, _)| !connection.is_fit())
    }

    /// Returns until when the try under way may wait for a connection: where another node may be tried, that one needs time
    /// as well.
    pub(super) fn connected_by(&self, plan: &Plan) -> Option<Instant> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let elsewhere = state.tries <= plan.retries && state.at.as_ref().is_some_and(Chosen::others);
        plan.deadline().filter(|_| elsewhere).map(half_way)
    }

    /// Returns the error of a call whose time is over, and has the connection looked at if it was silent all the while.
    pub(super) fn timed_out(&self, plan: &Plan) -> Error {
        let state = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let waits = plan.limits().0.is_some() && state.place.is_none();
        let stage = match (&state.waiting, &state.at) {
            (Some((connection, heard)), _) => {
                if connection.heard().count() == *heard {
                    connection.doubt();
                }
                "had no answer"
            }
            (None, Some(_)) => "had no connection",
            (None, None) if waits => "had no place among the calls at once",
            (None, None) => "found no node",
        };
        let (endpoint, service) = (&plan.target.endpoint, &plan.target.service);
        let after = plan.timeout.unwrap_or_default();
        let text = format!(
            "{endpoint} of service {service} {stage} within {after:?}; give it more time, or look what holds it up"
        );
        let error = Error::new(Kind::Timeout, text).id(CLIENT).operation("client.call");
        if let Some(call) = state.in_flight {
            call.failed(&error);
        }
        match state.at {
            Some(at) => error.with("node", at.address()).with("tries", state.tries),
            None => error,
        }
    }
}
