use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tonic::Status;

use crate::client::Client;
use crate::error::Failed;
use crate::wire::{
    self, DeleteRangeRequest, GrantRequest, GrantResponse, KeepAliveRequest, KeepAliveResponse, KeyValue, Operation,
    PutRequest, PutResponse, RangeRequest, RangeResponse, RevokeRequest, RevokeResponse, TxnRequest, TxnResponse,
};

/// The longest time to live that etcd takes, in seconds.
const LONGEST: i64 = 9_000_000_000;

/// How often a thing is done anew that somebody else changed meanwhile.
const TRIES: usize = 8;

/// The nodes that this client registered, each with a lease of its own.
#[derive(Debug, Default)]
pub(crate) struct Nodes(Mutex<HashMap<String, Arc<tokio::sync::Mutex<Node>>>>);

/// What is known of a node; locked while it is registered or taken away, so that there is one lease for it.
#[derive(Debug, Default)]
struct Node {
    held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    lease: i64,
    /// In seconds.
    ttl: i64,
    /// What was put; nobody knows whether it arrived where `revision` is 0.
    value: Vec<u8>,
    revision: i64,
    /// When the lease is over without us.
    until: Instant,
}

impl Nodes {
    fn node(&self, key: &str) -> Arc<tokio::sync::Mutex<Node>> {
        let mut nodes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !nodes.contains_key(key) {
            // What nobody registers any more is forgotten when its lease is over.
            let now = Instant::now();
            nodes.retain(|_, node| {
                Arc::strong_count(node) > 1
                    || node.try_lock().is_ok_and(|node| node.held.as_ref().is_some_and(|held| held.until > now))
            });
        }
        Arc::clone(nodes.entry(key.to_owned()).or_default())
    }

    /// Registers a node, or refreshes it; what is under its key afterwards is the value.
    pub(crate) async fn register(
        &self,
        client: &Client,
        key: &str,
        value: Vec<u8>,
        ttl: Duration,
    ) -> Result<(), Failed> {
        let node = self.node(key);
        let mut node = node.lock().await;
        let ttl = seconds(ttl);
        let mut failed = Failed::Late;
        // A lease may end between two calls.
        for _ in 0..TRIES {
            match node.register(client, key, &value, ttl).await {
                Err(lost) if lost.lost_lease() => {
                    node.held = None;
                    failed = lost;
                }
                done => return done,
            }
        }
        Err(failed)
    }

    /// Takes a node away if what is under its key is as `is_meant` says.
    pub(crate) async fn deregister(
        &self,
        client: &Client,
        key: &str,
        is_meant: impl Fn(&KeyValue) -> bool,
    ) -> Result<(), Failed> {
        let node = self.node(key);
        let mut node = node.lock().await;
        let mut there = find(client, key).await?;
        let mut tries = TRIES;
        while let Some(kv) = there.as_ref().filter(|kv| is_meant(kv)) {
            if tries == 0 {
                return Err(Failed::Answer(Status::aborted("the record changed each time it was to be taken away")));
            }
            tries -= 1;
            let delete = Operation::Delete(DeleteRangeRequest { key: kv.key.clone() });
            let txn = TxnRequest::unchanged(&kv.key, kv.mod_revision).then(delete);
            let done: TxnResponse = client.ask(wire::TXN, txn).await?;
            there = if done.succeeded { None } else { find(client, key).await? };
        }
        // Where the record is on our lease still, it is one that was not meant.
        if let Some(held) = node.held.take_if(|held| there.is_none_or(|kv| kv.lease != held.lease)) {
            revoke(client, held.lease).await;
        }
        Ok(())
    }
}

impl Node {
    async fn register(&mut self, client: &Client, key: &str, value: &[u8], ttl: i64) -> Result<(), Failed> {
        let until = Instant::now() + Duration::from_secs(u64::try_from(ttl).unwrap_or_default());
        if let Some(held) = self.held.as_mut().filter(|held| held.ttl == ttl) {
            keep_alive(client, held.lease).await?;
            held.until = until;
            let revision = put(client, key, value, held.lease, (held.value == value).then_some(held.revision)).await?;
            (held.value, held.revision) = (value.to_vec(), revision);
            return Ok(());
        }
        let lease = grant(client, ttl).await?;
        let held = |revision| Held { lease, ttl, value: value.to_vec(), revision, until };
        match put(client, key, value, lease, None).await {
            Ok(revision) => {
                if let Some(old) = self.held.replace(held(revision)) {
                    revoke(client, old.lease).await;
                }
                Ok(())
            }
            Err(failed) if failed.is_refusal() => {
                revoke(client, lease).await;
                Err(failed)
            }
            Err(failed) => {
                // Kept, so that trying again does not take another one; the old one's record may be gone.
                if let Some(old) = self.held.replace(held(0)) {
                    revoke(client, old.lease).await;
                }
                Err(failed)
            }
        }
    }
}

async fn find(client: &Client, key: &str) -> Result<Option<KeyValue>, Failed> {
    let request = RangeRequest { key: key.as_bytes().to_vec(), ..RangeRequest::default() };
    let mut found: RangeResponse = client.ask(wire::RANGE, request).await?;
    Ok(found.kvs.pop())
}

async fn grant(client: &Client, ttl: i64) -> Result<i64, Failed> {
    // Chosen here, so that granting it twice is granting it once.
    let id = fastrand::i64(1..i64::MAX);
    match client.ask::<_, GrantResponse>(wire::GRANT, GrantRequest { ttl, id }).await {
        Ok(granted) => Ok(granted.id),
        Err(failed) if failed.has_lease() => Ok(id),
        Err(failed) => Err(failed),
    }
}

async fn keep_alive(client: &Client, id: i64) -> Result<(), Failed> {
    let kept = client.call(|lane| async move {
        let mut stream = lane.stream::<_, KeepAliveResponse>(wire::KEEP_ALIVE, KeepAliveRequest { id }).await?;
        let answer = stream.next().await?;
        answer.ok_or_else(|| Status::unavailable("the stream of a lease ended without an answer"))
    });
    if kept.await?.ttl > 0 { Ok(()) } else { Err(Failed::Answer(Status::not_found("requested lease not found"))) }
}

/// Puts a value under a key, unless the key was last changed at this revision: then it is there already. Returns the
/// revision of the value.
async fn put(client: &Client, key: &str, value: &[u8], lease: i64, known: Option<i64>) -> Result<i64, Failed> {
    let key = key.as_bytes().to_vec();
    let request = PutRequest { key: key.clone(), value: value.to_vec(), lease };
    let Some(known) = known.filter(|known| *known > 0) else {
        let done: PutResponse = client.ask(wire::PUT, request).await?;
        return Ok(done.header.unwrap_or_default().revision);
    };
    let txn = TxnRequest::unchanged(&key, known).otherwise(Operation::Put(request));
    let done: TxnResponse = client.ask(wire::TXN, txn).await?;
    Ok(if done.succeeded { known } else { done.header.unwrap_or_default().revision })
}

/// Gives a lease back. One that is not given back ends by itself.
async fn revoke(client: &Client, id: i64) {
    if let Err(failed) = client.ask::<_, RevokeResponse>(wire::REVOKE, RevokeRequest { id }).await {
        tracing::debug!(?failed, "a lease of the etcd registry was not given back; it ends by itself");
    }
}

/// Whole seconds, rounded up.
fn seconds(ttl: Duration) -> i64 {
    let whole = ttl.as_secs().saturating_add(u64::from(ttl.subsec_nanos() > 0));
    i64::try_from(whole).unwrap_or(LONGEST).clamp(1, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_live_is_whole_seconds_rounded_up() {
        for (ttl, expected) in [(1, 1), (1_000, 1), (1_001, 2), (90_000, 90)] {
            assert_eq!(seconds(Duration::from_millis(ttl)), expected);
        }
        assert_eq!(seconds(Duration::MAX), LONGEST);
    }
}
