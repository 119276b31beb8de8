use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::time::Duration;

use chitchat::{Chitchat, ChitchatId, Heartbeat, NodeState};
use micro_core::registry::Unreadable;
use tokio::time::Instant;

use crate::book::Book;
use crate::value;

/// The other members: which of them live, and what of theirs is in the book.
///
/// One lives whose heart-beat was seen to rise within the silence that is allowed. chitchat's own detector counts in mean
/// intervals, which shrink as a cluster grows, so that it has no limit that can be told beforehand.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    all: HashMap<ChitchatId, Peer>,
    /// Somebody lived at some time.
    known: bool,
}

#[derive(Debug)]
struct Peer {
    heartbeat: Heartbeat,
    first: Instant,
    risen: Option<Instant>,
    alive: bool,
    /// What of it is in the book: how new it is, and the version of each key.
    taken: (u64, u64),
    keys: BTreeMap<String, u64>,
}

impl Peers {
    pub(crate) fn is_anybody_known(&self) -> bool {
        self.known
    }

    pub(crate) fn is_anybody_alive(&self) -> bool {
        self.all.values().any(|peer| peer.alive)
    }

    /// Tells whether there is one that was first heard of within this time, and of which it is not known yet whether it lives.
    pub(crate) fn is_unsure(&self, within: Duration) -> bool {
        self.all.values().any(|peer| peer.risen.is_none() && peer.first.elapsed() < within)
    }

    /// Returns the addresses of those that live.
    pub(crate) fn alive(&self) -> Vec<SocketAddr> {
        self.all.iter().filter(|(_, peer)| peer.alive).map(|(id, _)| id.gossip_advertise_addr).collect()
    }

    /// Takes what chitchat knows by now into the book.
    pub(crate) fn look(&mut self, chitchat: &Chitchat, book: &mut Book, unreadable: &Unreadable, silence: Duration) {
        let now = Instant::now();
        let states = chitchat.node_states();
        for (id, state) in states.iter().filter(|(id, _)| *id != chitchat.self_chitchat_id()) {
            let peer = self.all.entry(id.clone()).or_insert_with(|| Peer::new(state.heartbeat(), now));
            peer.hear(state.heartbeat(), now, silence);
            match peer.alive {
                true => peer.take(id, state, book, unreadable),
                false => peer.leave(id, book),
            }
            self.known |= peer.alive;
        }
        let there: HashSet<_> = states.keys().collect();
        self.all.retain(|id, peer| {
            let stays = there.contains(id);
            if !stays {
                peer.leave(id, book);
            }
            stays
        });
    }
}

impl Peer {
    fn new(heartbeat: Heartbeat, now: Instant) -> Self {
        Self { heartbeat, first: now, risen: None, alive: false, taken: (0, 0), keys: BTreeMap::new() }
    }

    fn hear(&mut self, heartbeat: Heartbeat, now: Instant, silence: Duration) {
        if heartbeat > self.heartbeat {
            // What is heard first may be old news of one that is dead.
            if u64::from(self.heartbeat) > 0 {
                self.risen = Some(now);
            }
            self.heartbeat = heartbeat;
        }
        self.alive = self.risen.is_some_and(|risen| now < risen + silence);
    }

    fn take(&mut self, id: &ChitchatId, state: &NodeState, book: &mut Book, unreadable: &Unreadable) {
        let (gone, newest) = state.monotonic_property();
        if self.taken == (gone, newest + 1) {
            return;
        }
        self.taken = (gone, newest + 1);
        let mut later = BTreeMap::new();
        for (key, there) in state.key_values_including_deleted().filter(|(_, value)| !value.is_deleted()) {
            later.insert(key.to_owned(), there.version);
            if self.keys.get(key) == Some(&there.version) {
                continue;
            }
            match value::read(unreadable, key, &there.value) {
                Some(held) => book.put(key, &id.node_id, held),
                None => book.take(key, &id.node_id),
            }
        }
        for key in self.keys.keys().filter(|key| !later.contains_key(*key)) {
            book.take(key, &id.node_id);
        }
        self.keys = later;
    }

    fn leave(&mut self, id: &ChitchatId, book: &mut Book) {
        for key in std::mem::take(&mut self.keys).keys() {
            book.take(key, &id.node_id);
        }
        self.taken = (0, 0);
    }
}
