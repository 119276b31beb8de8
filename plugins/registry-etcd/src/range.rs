//! Everything below a prefix, as it is at one revision.

use tonic::{Code, Status};

use crate::client::Lane;
use crate::keys;
use crate::wire::{self, KeyValue, RangeRequest, RangeResponse};

/// How many keys are asked for at once, at first and at least.
const MOST: i64 = 512;
const LEAST: i64 = 8;

/// How often it is begun anew, when the revision is compacted between two pages.
const TRIES: usize = 3;

/// What was there, and when.
pub(crate) struct Found {
    pub(crate) revision: i64,
    pub(crate) kvs: Vec<KeyValue>,
}

/// Reads it page by page, all of one revision.
pub(crate) async fn range(lane: &Lane, prefix: &str) -> Result<Found, Status> {
    let (end, mut limit) = (keys::end(prefix), MOST);
    let mut found = Found { revision: 0, kvs: Vec::new() };
    let (mut key, mut tries) = (prefix.as_bytes().to_vec(), TRIES);
    loop {
        let request = RangeRequest { key: key.clone(), range_end: end.clone(), limit, revision: found.revision };
        let page: RangeResponse = match lane.ask(wire::RANGE, request).await {
            // Longer than is read at once.
            Err(status) if status.code() == Code::OutOfRange && limit > LEAST && !compacted(&status) => {
                limit /= 2;
                continue;
            }
            Err(status) if compacted(&status) && tries > 0 => {
                tries -= 1;
                found = Found { revision: 0, kvs: Vec::new() };
                key = prefix.as_bytes().to_vec();
                continue;
            }
            answer => answer?,
        };
        if found.revision == 0 {
            found.revision = page.header.unwrap_or_default().revision;
        }
        let last = page.kvs.last().map(|kv| kv.key.clone());
        found.kvs.extend(page.kvs);
        match last {
            Some(last) if page.more => {
                key = last;
                key.push(0);
            }
            _ => return Ok(found),
        }
    }
}

fn compacted(status: &Status) -> bool {
    status.message().contains("compacted")
}
