//! What happened at the kit's broker: every publish, every delivery and its answer.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use micro::broker::{DeliveryParts, Message, Position, Queue, Reason, Settle, SubscribeOptions, Token, Topic};
use micro::event::{AfterFailure, HandlerFailure};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::delivery::{Outcome, Story};

/// So many publishes and deliveries are remembered; the oldest are forgotten first.
pub(crate) const LIMIT: usize = 65_536;

/// What one kit remembers.
#[derive(Debug)]
pub(crate) struct Journal {
    state: Mutex<State>,
    changes: watch::Sender<u64>,
}

/// A message that the broker has taken.
#[derive(Debug, Clone)]
pub(crate) struct Publication {
    pub(crate) topic: Topic,
    pub(crate) message: Message,
    /// The service that published it.
    pub(crate) by: String,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) published: VecDeque<Publication>,
    /// Publishes forgotten for the limit's sake.
    pub(crate) forgotten: usize,
    /// By number, which grows.
    stories: VecDeque<Told>,
    first_story: u64,
    by_place: HashMap<Place, u64>,
    /// What is handed out and not answered, by the kit's own token.
    in_hand: HashMap<Token, InHand>,
    next_token: u64,
    refusals: HashMap<Topic, u32>,
}

/// A message and who gets it: what is one story, however often it is handed out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Place {
    topic: Topic,
    group: Group,
    position: Position,
}

/// Who shares deliveries.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Group {
    Queue(Queue),
    /// A subscription without a queue.
    Alone(u64),
}

impl Group {
    /// Returns that of a new subscription.
    pub(crate) fn of(options: &SubscribeOptions) -> Self {
        static SUBSCRIPTIONS: AtomicU64 = AtomicU64::new(0);
        match &options.queue {
            Some(queue) => Self::Queue(queue.clone()),
            None => Self::Alone(SUBSCRIPTIONS.fetch_add(1, Ordering::Relaxed)),
        }
    }
}

#[derive(Debug)]
struct Told {
    place: Place,
    story: Story,
    /// The token it is out under, if it is.
    current: Option<Token>,
    /// Until when it waits for its next try, in the hands of its subscriber.
    waits_until: Option<Instant>,
    /// Why it is being given up, and whether it becomes a dead letter.
    verdict: Option<(Reason, bool)>,
}

#[derive(Debug)]
struct InHand {
    story: u64,
    inner: Token,
    client: u64,
}

impl Journal {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::default(), changes: watch::Sender::new(0) }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hears of changes.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    pub(crate) fn published(&self, by: &str, topic: &Topic, messages: impl IntoIterator<Item = Message>) {
        {
            let mut state = self.lock();
            for message in messages {
                state.published.push_back(Publication { topic: topic.clone(), message, by: by.to_owned() });
                if state.published.len() > LIMIT {
                    state.published.pop_front();
                    state.forgotten += 1;
                }
            }
        }
        self.changed();
    }

    /// Notes that a message was handed out, and returns the kit's token for it.
    pub(crate) fn handed(&self, client: u64, by: &str, group: &Group, parts: &DeliveryParts) -> Token {
        let token = self.lock().hand(client, by, group, parts);
        self.changed();
        token
    }

    /// Returns the broker's own token.
    pub(crate) fn inner(&self, token: Token) -> Option<Token> {
        self.lock().in_hand.get(&token).map(|in_hand| in_hand.inner)
    }

    /// Notes the answer to a delivery; `taken` tells whether the broker took it.
    pub(crate) fn settled(&self, token: Token, settle: &Settle, taken: bool) {
        self.lock().settle(token, settle, taken);
        self.changed();
    }

    /// Notes that a handler failed.
    pub(crate) fn failed(&self, failure: &HandlerFailure<'_>) {
        {
            let mut state = self.lock();
            let Some(story) = state.in_hand.get(&failure.delivery.token).map(|in_hand| in_hand.story) else { return };
            let Some(told) = state.told(story) else { return };
            if let AfterFailure::DeadLetterLater(pause) = failure.next {
                told.waits_until = Some(Instant::now() + pause);
            } else {
                told.story.failures.push(failure.error.to_string());
            }
            match failure.next {
                AfterFailure::Retry(pause) => told.waits_until = Some(Instant::now() + pause),
                AfterFailure::DeadLetter(reason) => told.verdict = Some((reason, true)),
                AfterFailure::Dropped(reason) => told.verdict = Some((reason, false)),
                _ => {}
            }
        }
        self.changed();
    }

    /// Notes that a client is gone, and everything it had in its hands with it.
    pub(crate) fn gone(&self, client: u64) {
        {
            let mut state = self.lock();
            let tokens: Vec<Token> =
                state.in_hand.iter().filter(|(_, held)| held.client == client).map(|(token, _)| *token).collect();
            for token in tokens {
                state.settle(token, &Settle::Release, true);
            }
        }
        self.changed();
    }

    /// Lets the next publishes to a topic fail.
    pub(crate) fn refuse(&self, topic: Topic, count: u32) {
        let mut state = self.lock();
        match count {
            0 => state.refusals.remove(&topic),
            _ => state.refusals.insert(topic, count),
        };
    }

    /// Takes one of the refusals that are asked for, if there is one.
    pub(crate) fn refusal(&self, topic: &Topic) -> bool {
        let mut state = self.lock();
        let Some(left) = state.refusals.get_mut(topic) else { return false };
        *left -= 1;
        if *left == 0 {
            state.refusals.remove(topic);
        }
        true
    }

    /// Tells whether a handler is at work, or has something to begin with. What waits for its pause is at rest.
    pub(crate) fn busy(&self) -> bool {
        let (state, now) = (self.lock(), Instant::now());
        state.stories.iter().any(|told| told.current.is_some() && told.waits_until.is_none_or(|until| until <= now))
    }
}

impl State {
    /// Returns the stories, in the order in which they began.
    pub(crate) fn stories(&self) -> impl Iterator<Item = &Story> {
        self.stories.iter().map(|told| &told.story)
    }

    /// Returns the topics whose next publishes are to fail, with how many.
    pub(crate) fn refusals(&self) -> impl Iterator<Item = (&Topic, u32)> {
        self.refusals.iter().map(|(topic, count)| (topic, *count))
    }

    fn told(&mut self, story: u64) -> Option<&mut Told> {
        let place = usize::try_from(story.checked_sub(self.first_story)?).ok()?;
        self.stories.get_mut(place)
    }

    fn hand(&mut self, client: u64, by: &str, group: &Group, parts: &DeliveryParts) -> Token {
        let token = Token(self.next_token);
        self.next_token += 1;
        let topic = parts.origin.topic.clone();
        // Memory always says where a message lies.
        let position = parts.position.unwrap_or(Position::Sequence(token.0));
        let place = Place { topic, group: group.clone(), position };
        let story = match self.by_place.get(&place) {
            Some(story) => *story,
            None => self.begin(place, parts),
        };
        self.in_hand.insert(token, InHand { story, inner: parts.token, client });
        if let Some(told) = self.told(story) {
            by.clone_into(&mut told.story.service);
            told.story.deliveries += 1;
            told.story.outcome = Outcome::InHand;
            told.waits_until = None;
            told.current = Some(token);
        }
        token
    }

    fn begin(&mut self, place: Place, parts: &DeliveryParts) -> u64 {
        if self.stories.len() >= LIMIT
            && let Some(oldest) = self.stories.pop_front()
        {
            self.by_place.remove(&oldest.place);
            self.first_story += 1;
        }
        let story = self.first_story + self.stories.len() as u64;
        self.by_place.insert(place.clone(), story);
        let told = Told { place, story: Story::begin(parts), current: None, waits_until: None, verdict: None };
        self.stories.push_back(told);
        story
    }

    fn settle(&mut self, token: Token, settle: &Settle, taken: bool) {
        let Some(held) = self.in_hand.remove(&token) else { return };
        let Some(told) = self.told(held.story) else { return };
        // One whose lease had ended says nothing about where the message is now.
        if told.current != Some(token) {
            return;
        }
        told.current = None;
        if !taken {
            told.story.outcome = Outcome::Released;
            return;
        }
        let verdict = told.verdict.take();
        told.story.outcome = match (settle, verdict) {
            (Settle::Ack | Settle::Reject(_), Some((reason, true))) => Outcome::DeadLettered(reason),
            (Settle::Ack | Settle::Reject(_), Some((reason, false))) => Outcome::Dropped(reason),
            (Settle::Ack, None) => Outcome::Acknowledged,
            (Settle::Reject(reason), None) => Outcome::Dropped(*reason),
            (Settle::Retry(after), _) => Outcome::Retrying(*after),
            _ => Outcome::Released,
        };
    }
}

/// Returns a text of a body that a person can read, cut to a line.
pub(crate) fn shown(body: &Bytes, content_type: Option<&str>) -> String {
    const MOST: usize = 120;
    match std::str::from_utf8(body) {
        Ok(text) if !text.chars().any(char::is_control) => {
            let cut = text.floor_char_boundary(MOST);
            if cut < text.len() { format!("{}…", &text[..cut]) } else { text.to_owned() }
        }
        _ => format!("{} bytes of {}", body.len(), content_type.unwrap_or("an unknown type")),
    }
}
