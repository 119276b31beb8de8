use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;

use super::{Candidate, Candidates, clock, hash};
use crate::Headers;

/// What a strategy knows of the call that needs a node: its key, its metadata, the time, and which nodes it may go to.
#[derive(Clone, Copy)]
pub struct Choice<'a> {
    key: Option<u64>,
    metadata: Option<&'a Headers>,
    now: Instant,
    fit: Option<&'a dyn Fn(&Candidate) -> bool>,
}

impl<'a> Choice<'a> {
    /// Creates the choice of a call without key or metadata, that may go to every node.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { key: None, metadata: None, now, fit: None }
    }

    /// Sets the key: calls with the same one belong together.
    #[must_use]
    pub fn with_key(self, key: impl AsRef<[u8]>) -> Self {
        self.with_key_hash(Some(Self::hash(key)))
    }

    /// Sets the key by its [hash](Self::hash).
    #[must_use]
    pub fn with_key_hash(mut self, hash: Option<u64>) -> Self {
        self.key = hash;
        self
    }

    /// Sets the call's metadata.
    #[must_use]
    pub fn with_metadata(mut self, metadata: &'a Headers) -> Self {
        self.metadata = Some(metadata);
        self
    }

    /// Returns the same choice among these nodes only. Whoever narrows asks [`allows`](Self::allows) of the wider one
    /// in the condition.
    #[must_use]
    pub fn only<'b>(&self, fit: &'b dyn Fn(&Candidate) -> bool) -> Choice<'b>
    where
        'a: 'b,
    {
        Choice { fit: Some(fit), ..*self }
    }

    /// Returns the hash of a key, the same in every process.
    #[must_use]
    pub fn hash(key: impl AsRef<[u8]>) -> u64 {
        hash::of(key.as_ref())
    }

    /// Returns the hash of the call's key.
    #[must_use]
    pub fn key(&self) -> Option<u64> {
        self.key
    }

    /// Returns the value of a metadata pair, found without case.
    #[must_use]
    pub fn metadata(&self, name: &str) -> Option<&'a [u8]> {
        self.metadata?.get(name)
    }

    /// Returns when the call was made.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Tells whether the call may go to every node.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.fit.is_none()
    }

    /// Tells whether the call may go to this node.
    #[must_use]
    pub fn allows(&self, candidate: &Candidate) -> bool {
        self.fit.is_none_or(|fit| fit(candidate))
    }

    /// Returns the nodes that the call may go to, with their places.
    pub fn among<'b>(&'b self, candidates: &'b Candidates) -> impl Iterator<Item = (usize, &'b Arc<Candidate>)> {
        candidates.iter().enumerate().filter(|(_, candidate)| self.allows(candidate))
    }

    pub(super) fn millis(&self) -> u64 {
        clock::millis(self.now)
    }
}

impl fmt::Debug for Choice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Choice").field("key", &self.key).field("open", &self.is_open()).finish_non_exhaustive()
    }
}
