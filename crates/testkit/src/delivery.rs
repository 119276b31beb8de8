//! What became of deliveries.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use micro::Result;
use micro::broker::{DeliveryParts, Queue, Reason, Topic};

use crate::journal::{Journal, State};
use crate::telling::{self, keyed};
use crate::wait::{Look, until};

/// A message and what became of it at one queue, or at one subscriber without a queue.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Story {
    /// The topic.
    pub topic: Topic,
    /// The queue; `None` for a subscriber without one.
    pub queue: Option<Queue>,
    /// The service that had it last.
    pub service: String,
    /// The id of the message.
    pub id: Bytes,
    /// Its key.
    pub key: Option<Bytes>,
    /// How often it was handed out.
    pub deliveries: u32,
    /// The texts of the errors that handlers failed with, in order.
    pub failures: Vec<String>,
    /// Where it is now.
    pub outcome: Outcome,
}

/// Where a message is, as one queue sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// A subscriber has it: it is being handled, or waits for its next try there.
    InHand,
    /// Done.
    Acknowledged,
    /// It comes again after this pause.
    Retrying(Duration),
    /// It went to the dead letters.
    DeadLettered(Reason),
    /// It was given up, and is not kept.
    Dropped(Reason),
    /// It went back unhandled: the subscriber stopped or crashed.
    Released,
}

impl Story {
    pub(crate) fn begin(parts: &DeliveryParts) -> Self {
        Self {
            topic: parts.origin.topic.clone(),
            queue: parts.origin.queue.clone(),
            service: String::new(),
            id: parts.id.clone(),
            key: parts.message.key.clone(),
            deliveries: 0,
            failures: Vec::new(),
            outcome: Outcome::InHand,
        }
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{} to {}", self.topic, keyed(self.key.as_deref()), self.service)?;
        if let Some(queue) = &self.queue {
            write!(f, " in queue {}", queue.as_str())?;
        }
        write!(f, ": delivered {}", times(self.deliveries as usize))?;
        if !self.failures.is_empty() {
            write!(f, ", failed {} ({})", times(self.failures.len()), self.failures.join("; "))?;
        }
        write!(f, ", {}", self.outcome)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InHand => f.write_str("in hand"),
            Self::Acknowledged => f.write_str("acknowledged"),
            Self::Retrying(after) => write!(f, "to come again after {after:?}"),
            Self::DeadLettered(reason) => write!(f, "dead-lettered as {reason}"),
            Self::Dropped(reason) => write!(f, "given up as {reason} and not kept"),
            Self::Released => f.write_str("given back unhandled"),
        }
    }
}

fn times(count: usize) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        count => format!("{count} times"),
    }
}

/// Asks what became of the delivery of one message; see [`TestKit::delivery`](crate::TestKit::delivery).
///
/// Each assertion waits until it holds. It fails at once when it can no longer hold, and after the limit; the error says
/// what became of every delivery. If several messages or queues fit, narrow it until one does.
#[derive(Debug, Clone)]
#[must_use = "nothing is asserted before one of its methods is awaited"]
pub struct DeliveryQuery<'a> {
    journal: &'a Journal,
    topic: String,
    queue: Option<String>,
    key: Option<Bytes>,
    id: Option<Bytes>,
    limit: Duration,
}

impl<'a> DeliveryQuery<'a> {
    pub(crate) fn new(journal: &'a Journal, topic: &str, limit: Duration) -> Self {
        Self { journal, topic: topic.to_owned(), queue: None, key: None, id: None, limit }
    }

    /// Narrows it to one queue.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.queue = Some(queue.into());
        self
    }

    /// Narrows it to messages of one key.
    pub fn key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Narrows it to the message of this id, its header `Micro-Id`.
    pub fn id(mut self, id: impl Into<Bytes>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets how long to wait at most, in real time.
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Waits until the delivery was acknowledged.
    ///
    /// # Errors
    ///
    /// It was given up instead, or nothing came of it within the limit, or several fit.
    pub async fn acknowledged(self) -> Result<Story> {
        self.ends("acknowledged", |outcome| outcome == Outcome::Acknowledged).await
    }

    /// Waits until the message went to the dead letters for this reason. The failures of its story say more.
    ///
    /// # Errors
    ///
    /// It was acknowledged instead or given up for another reason, or nothing came of it within the limit, or several
    /// fit.
    pub async fn dead_lettered(self, reason: Reason) -> Result<Story> {
        let wanted = Outcome::DeadLettered(reason);
        self.ends(&wanted.to_string(), |outcome| outcome == wanted).await
    }

    /// Waits until handlers have failed with it so often, the last time with an error that has this text in it, and it is
    /// to come again.
    ///
    /// # Errors
    ///
    /// It ended otherwise, failed more often already or with another text, or did not fail so often within the limit, or
    /// several fit.
    pub async fn retried(self, times_failed: u32, text: &str) -> Result<Story> {
        let wanted = times_failed as usize;
        let what = format!("retried after failing {} with {text:?}", times(wanted));
        self.look(&what, |story| {
            let failed = story.failures.len();
            let over = matches!(story.outcome, Outcome::Acknowledged | Outcome::DeadLettered(_) | Outcome::Dropped(_));
            if failed > wanted || over {
                return Verdict::Never;
            }
            match story.failures.last() {
                Some(error) if failed == wanted && !error.contains(text) => Verdict::Never,
                Some(_) if failed == wanted => Verdict::Holds,
                _ => Verdict::NotYet,
            }
        })
        .await
    }

    /// Returns the stories that fit so far, in the order in which they began; it does not wait.
    #[must_use]
    pub fn stories(self) -> Vec<Story> {
        self.fitting(&self.journal.lock()).into_iter().cloned().collect()
    }

    async fn ends(self, what: &str, right: impl Fn(Outcome) -> bool) -> Result<Story> {
        self.look(what, |story| match story.outcome {
            outcome if right(outcome) => Verdict::Holds,
            Outcome::Acknowledged | Outcome::DeadLettered(_) | Outcome::Dropped(_) => Verdict::Never,
            _ => Verdict::NotYet,
        })
        .await
    }

    async fn look(self, what: &str, judge: impl Fn(&Story) -> Verdict) -> Result<Story> {
        let expected = format!("expected the delivery of {self} to be {what}");
        let look = |state: &State| {
            let fitting = self.fitting(state);
            match fitting[..] {
                [] => Look::NotYet,
                [story] => match judge(story) {
                    Verdict::Holds => Look::Found(story.clone()),
                    Verdict::NotYet => Look::NotYet,
                    Verdict::Never => Look::Wrong(format!("{expected}, but it is not:\n  {story}")),
                },
                _ => {
                    let all: Vec<_> = fitting.iter().map(|story| format!("\n  {story}")).collect();
                    Look::Wrong(format!(
                        "{expected}, but {} deliveries fit; narrow it by queue, key or id:{}",
                        all.len(),
                        all.concat()
                    ))
                }
            }
        };
        let late = |state: &State| {
            format!("{expected} within {:?}, but it is not yet; {}", self.limit, telling::deliveries(state))
        };
        until(self.journal, self.limit, look, late).await
    }

    fn fitting<'s>(&self, state: &'s State) -> Vec<&'s Story> {
        let fits = |story: &&Story| {
            story.topic.as_str() == self.topic
                && self.queue.as_ref().is_none_or(|queue| story.queue.as_ref().is_some_and(|q| q.as_str() == queue))
                && self.key.as_ref().is_none_or(|key| story.key.as_ref() == Some(key))
                && self.id.as_ref().is_none_or(|id| story.id == *id)
        };
        state.stories().filter(fits).collect()
    }
}

/// Whether an assertion holds.
enum Verdict {
    Holds,
    NotYet,
    Never,
}

impl fmt::Display for DeliveryQuery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.topic, keyed(self.key.as_deref()))?;
        if let Some(queue) = &self.queue {
            write!(f, " in queue {queue}")?;
        }
        match &self.id {
            Some(id) => write!(f, " with id {}", String::from_utf8_lossy(id)),
            None => Ok(()),
        }
    }
}
