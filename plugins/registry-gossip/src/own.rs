use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// What this member says itself, by key.
#[derive(Debug, Default)]
pub(crate) struct Own(HashMap<String, Said>);

#[derive(Debug)]
struct Said {
    /// Empty: the node is gone, though another says it is there.
    json: String,
    version: String,
    stamp: u64,
    /// None for what is gone.
    until: Option<Instant>,
}

impl Own {
    pub(crate) fn put(&mut self, key: &str, json: String, version: &str, stamp: u64, ttl: Option<Duration>) {
        let said = Said { json, version: version.to_owned(), stamp, until: ttl.map(end) };
        self.0.insert(key.to_owned(), said);
    }

    pub(crate) fn refresh(&mut self, key: &str, ttl: Duration) {
        if let Some(said) = self.0.get_mut(key) {
            said.until = Some(end(ttl));
        }
    }

    /// Returns whether there was something.
    pub(crate) fn remove(&mut self, key: &str) -> bool {
        self.0.remove(key).is_some()
    }

    pub(crate) fn says(&self, key: &str, json: &str) -> bool {
        self.0.get(key).is_some_and(|said| said.json == json)
    }

    pub(crate) fn stamp(&self, key: &str) -> u64 {
        self.0.get(key).map_or(0, |said| said.stamp)
    }

    pub(crate) fn is_of_version(&self, key: &str, version: &str) -> bool {
        self.0.get(key).is_some_and(|said| said.until.is_some() && said.version == version)
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    /// Returns the keys whose time to live is over, and those that are gone and that nobody else says either.
    pub(crate) fn over(&self, elsewhere: impl Fn(&str) -> bool) -> Vec<String> {
        let now = Instant::now();
        let is_over = |(key, said): &(&String, &Said)| match said.until {
            Some(until) => until <= now,
            None => !elsewhere(key),
        };
        self.0.iter().filter(is_over).map(|(key, _)| key.clone()).collect()
    }
}

/// The end of a time to live; of one that is longer than any, in a year.
fn end(ttl: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3_600);
    Instant::now() + ttl.min(YEAR)
}
