use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Candidate, Outcome, Selector};
use crate::Error;

/// A call on its way to a node: counted from here until it is dropped, and told to the strategy once.
///
/// Dropped without an end, the call was given up.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use micro_core::registry::Node;
/// use micro_core::selector::{Candidate, InFlight, P2c};
///
/// let node = Arc::new(Candidate::new("greeter", "latest", Node::new("greeter-1", "127.0.0.1:37903")));
/// let call = InFlight::new(Arc::new(P2c::default()), node.clone());
/// assert_eq!(node.in_flight(), 1);
/// call.answered();
/// assert_eq!(node.in_flight(), 0);
/// ```
#[must_use = "a call that is dropped was given up"]
pub struct InFlight {
    selector: Arc<dyn Selector>,
    candidate: Arc<Candidate>,
    /// When the node was asked; its connection may have come about before. None: it is a stream.
    asked: Option<Instant>,
    told: bool,
}

impl InFlight {
    /// Begins a call.
    pub fn new(selector: Arc<dyn Selector>, candidate: Arc<Candidate>) -> Self {
        candidate.load().begin();
        Self { selector, candidate, asked: Some(Instant::now()), told: false }
    }

    /// Returns the node.
    #[must_use]
    pub fn candidate(&self) -> &Arc<Candidate> {
        &self.candidate
    }

    /// Notes that the request goes out now: what came before, as connecting, is not the node's slowness.
    pub fn sent(&mut self) {
        self.asked = Some(Instant::now());
    }

    /// Notes that it is a stream, whose length says nothing of the node.
    pub fn streams(&mut self) {
        self.asked = None;
    }

    /// Ends the call with an answer.
    pub fn answered(self) {
        self.end(Outcome::answered);
    }

    /// Ends the call with an error.
    pub fn failed(self, error: &Error) {
        self.end(|took, at| Outcome::failed(error, took, at));
    }

    fn end<'e>(mut self, outcome: impl FnOnce(Option<Duration>, Instant) -> Outcome<'e>) {
        self.tell(outcome);
    }

    fn tell<'e>(&mut self, outcome: impl FnOnce(Option<Duration>, Instant) -> Outcome<'e>) {
        self.told = true;
        let now = Instant::now();
        let took = self.asked.map(|asked| now.saturating_duration_since(asked));
        self.selector.record(&self.candidate, &outcome(took, now));
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if !self.told {
            self.tell(Outcome::given_up);
        }
        self.candidate.load().end();
    }
}

impl fmt::Debug for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlight").field("node", &self.candidate.node.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::selector::tests::nodes;
    use crate::selector::{Candidates, Choice};
    use crate::{Error, Kind};

    /// Notes what it hears.
    #[derive(Debug, Default)]
    struct Ear(Mutex<Vec<(&'static str, Option<Duration>)>>);

    impl Selector for Ear {
        fn name(&self) -> &'static str {
            "ear"
        }

        fn select(&self, _: &Candidates, _: &Choice<'_>) -> Option<usize> {
            None
        }

        fn record(&self, _: &Arc<Candidate>, outcome: &Outcome<'_>) {
            let end = match outcome {
                outcome if outcome.is_given_up() => "given up",
                outcome if outcome.is_failure() => "failed",
                _ => "answered",
            };
            self.0.lock().unwrap().push((end, outcome.took()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_counted_until_its_end_and_told_once() {
        let (ear, node) = (Arc::new(Ear::default()), nodes(1)[0].clone());
        let call = || InFlight::new(ear.clone(), node.clone());
        let (one, two, three, mut stream) = (call(), call(), call(), call());
        stream.streams();
        assert_eq!(node.in_flight(), 4);
        tokio::time::advance(Duration::from_millis(7)).await;
        one.answered();
        two.failed(&Error::new(Kind::Unavailable, "x"));
        drop(three);
        assert_eq!(node.in_flight(), 1);
        stream.answered();
        assert_eq!(node.in_flight(), 0);
        let took = Some(Duration::from_millis(7));
        let heard = [("answered", took), ("failed", took), ("given up", took), ("answered", None)];
        assert_eq!(*ear.0.lock().unwrap(), heard);
    }

    #[tokio::test(start_paused = true)]
    async fn connecting_is_not_the_nodes_slowness() {
        let (ear, node) = (Arc::new(Ear::default()), nodes(1)[0].clone());
        let mut call = InFlight::new(ear.clone(), node);
        tokio::time::advance(Duration::from_secs(3)).await;
        call.sent();
        tokio::time::advance(Duration::from_millis(2)).await;
        call.answered();
        assert_eq!(*ear.0.lock().unwrap(), [("answered", Some(Duration::from_millis(2)))]);
    }
}
