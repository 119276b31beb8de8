//! How far a call has come, for the one who has to say that its time is over.

use std::sync::{Arc, Mutex, PoisonError};

use micro_core::{Error, Kind};

use super::attempts::Chosen;
use super::connection::Connection;
use super::plan::Plan;
use crate::wire::status::CLIENT;

#[derive(Default)]
pub(super) struct Progress(Mutex<State>);

#[derive(Default)]
struct State {
    tries: u32,
    at: Option<Chosen>,
    /// The connection that the answer is awaited on, with what it had heard before.
    waiting: Option<(Arc<Connection>, u64)>,
}

impl Progress {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn trying(&self, at: &Chosen) {
        self.change(|state| {
            state.tries += 1;
            state.at = Some(at.clone());
            state.waiting = None;
        });
    }

    pub(super) fn sent(&self, connection: &Arc<Connection>) {
        self.change(|state| state.waiting = Some((connection.clone(), connection.heard().count())));
    }

    /// Returns the error of a call whose time is over, and has the connection looked at if it was silent all the while.
    pub(super) fn timed_out(&self, plan: &Plan) -> Error {
        let state = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let stage = match (&state.waiting, &state.at) {
            (Some((connection, heard)), _) => {
                if connection.heard().count() == *heard {
                    connection.doubt();
                }
                "had no answer"
            }
            (None, Some(_)) => "had no connection",
            (None, None) => "found no node",
        };
        let (endpoint, service) = (&plan.target.endpoint, &plan.target.service);
        let after = plan.timeout.unwrap_or_default();
        let text = format!(
            "{endpoint} of service {service} {stage} within {after:?}; give it more time, or look what holds it up"
        );
        let error = Error::new(Kind::Timeout, text).id(CLIENT).operation("client.call");
        match state.at {
            Some(at) => error.with("node", at.address()).with("tries", state.tries),
            None => error,
        }
    }
}
