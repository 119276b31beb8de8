use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::BytesMut;

thread_local! {
    // Asking the kernel once a thread, not once a message.
    static RANDOM: RefCell<fastrand::Rng> = RefCell::new(fastrand::Rng::with_seed(uuid::Uuid::new_v4().as_u64_pair().0));
}

/// How long an id is.
pub(super) const LENGTH: usize = uuid::fmt::Hyphenated::LENGTH;

/// Writes the id of a message: a UUID of version 7, so that ids sort by time.
pub(super) fn write(buffer: &mut BytesMut) {
    let mut random = [0; 10];
    RANDOM.with_borrow_mut(|rng| rng.fill(&mut random));
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    let id = uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid();
    let mut text = [0; LENGTH];
    buffer.extend_from_slice(id.hyphenated().encode_lower(&mut text).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_uuid_of_version_7_and_no_two_are_alike() {
        let mut buffer = BytesMut::new();
        let mut next = || {
            write(&mut buffer);
            buffer.split().freeze()
        };
        let ids: std::collections::HashSet<_> = (0..10_000).map(|_| next()).collect();
        assert_eq!(ids.len(), 10_000);
        let id = uuid::Uuid::parse_str(std::str::from_utf8(ids.iter().next().unwrap()).unwrap()).unwrap();
        assert_eq!(id.get_version_num(), 7);
    }
}
