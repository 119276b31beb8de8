use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use micro_core::Result;
use micro_core::registry::Service;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// How many services are followed at most, and how long one is that nobody asks for.
const MAX_FOLLOWED: usize = 1_024;
const UNUSED: Duration = Duration::from_secs(300);

pub(crate) type Answer<T> = oneshot::Sender<Result<T>>;

/// The questions under way, and the services whose nodes are kept.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    followed: HashMap<String, Followed>,
    listing: Option<Listing>,
}

#[derive(Debug)]
struct Followed {
    used: Instant,
    /// When the last question was asked.
    asked: Option<Instant>,
    /// When the last question was over.
    answered: Option<Instant>,
    round: Option<Round>,
}

#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) asked: Instant,
    pub(crate) waiting: Vec<Answer<Vec<Service>>>,
}

/// A question for the list of services.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) names: BTreeSet<String>,
    pub(crate) waiting: Vec<Answer<Vec<String>>>,
}

impl Rounds {
    pub(crate) fn follows(&self, service: &str) -> bool {
        self.followed.contains_key(service)
    }

    /// Follows a service from now on; returns one that has to go for it.
    pub(crate) fn follow(&mut self, service: &str, watched: &BTreeSet<String>, now: Instant) -> Option<String> {
        if let Some(followed) = self.followed.get_mut(service) {
            followed.used = now;
            return None;
        }
        let oldest = || {
            let free = self.followed.iter().filter(|(name, f)| f.round.is_none() && !watched.contains(*name));
            free.min_by_key(|(_, followed)| followed.used).map(|(name, _)| name.clone())
        };
        let gone = if self.followed.len() >= MAX_FOLLOWED { oldest() } else { None };
        if let Some(gone) = &gone {
            self.followed.remove(gone);
        }
        self.followed.insert(service.to_owned(), Followed { used: now, asked: None, answered: None, round: None });
        gone
    }

    /// Tells whether the last answer for a service is so new that it need not be asked for again.
    pub(crate) fn is_fresh(&self, service: &str, interval: Duration, now: Instant) -> bool {
        let answered = self.followed.get(service).and_then(|followed| followed.answered);
        answered.is_some_and(|at| now.duration_since(at) < interval)
    }

    /// Begins a round of a followed service; false if one is under way.
    pub(crate) fn begin(&mut self, service: &str, now: Instant) -> bool {
        match self.followed.get_mut(service) {
            Some(followed) if followed.round.is_none() => {
                followed.asked = Some(now);
                followed.round = Some(Round { asked: now, waiting: Vec::new() });
                true
            }
            _ => false,
        }
    }

    /// Tells whether a question was asked since.
    pub(crate) fn asked_since(&self, service: &str, since: Instant) -> bool {
        self.followed.get(service).and_then(|followed| followed.asked).is_some_and(|asked| asked > since)
    }

    /// Waits for the end of the round under way; gives the answer back if there is none.
    pub(crate) fn wait(&mut self, service: &str, answer: Answer<Vec<Service>>) -> Option<Answer<Vec<Service>>> {
        match self.followed.get_mut(service).and_then(|followed| followed.round.as_mut()) {
            Some(round) => {
                round.waiting.push(answer);
                None
            }
            None => Some(answer),
        }
    }

    pub(crate) fn end(&mut self, service: &str, now: Instant) -> Option<Round> {
        let followed = self.followed.get_mut(service)?;
        followed.answered = Some(now);
        followed.round.take()
    }

    /// Forgets the services that nobody asked for in a while.
    pub(crate) fn unused(&mut self, watched: &BTreeSet<String>, now: Instant) -> Vec<String> {
        let over = |name: &String, followed: &Followed| {
            followed.round.is_none() && !watched.contains(name) && now.duration_since(followed.used) >= UNUSED
        };
        let gone: Vec<String> = self.followed.iter().filter(|(n, f)| over(n, f)).map(|(n, _)| n.clone()).collect();
        gone.iter().for_each(|name| drop(self.followed.remove(name)));
        gone
    }

    pub(crate) fn next_unused(&self) -> Option<Instant> {
        self.followed.values().map(|followed| followed.used + UNUSED).min()
    }

    /// Begins to ask for the list; false if that is under way.
    pub(crate) fn begin_list(&mut self) -> bool {
        let begun = self.listing.is_none();
        self.listing.get_or_insert_default();
        begun
    }

    pub(crate) fn wait_for_list(&mut self, answer: Answer<Vec<String>>) {
        self.listing.get_or_insert_default().waiting.push(answer);
    }

    /// Takes a name of the list, if it is asked for.
    pub(crate) fn listed(&mut self, service: &str) {
        if let Some(listing) = &mut self.listing
            && listing.names.len() < MAX_FOLLOWED
        {
            listing.names.insert(service.to_owned());
        }
    }

    pub(crate) fn end_list(&mut self) -> Option<Listing> {
        self.listing.take()
    }
}
