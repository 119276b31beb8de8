//! A group's subscription, written so that old members can read it.
//!
//! A member tells its group what it subscribes to, and the member that leads reads it. The library writes version 3 of
//! that record; the format allows a reader to skip what it does not know, but sarama before 1.31 (go-micro's plugin has
//! 1.25) refuses it. Such a leader would join again and again without ever sharing anything, and the queue would stand still
//! for all. The library has no setting for it, so that what it writes is cut down to version 0 here.
#![allow(unsafe_code, reason = "the binding has no way to this")]

use std::ffi::{CStr, c_char, c_void};

use rdkafka::bindings::rd_kafka_t;
use rdkafka::consumer::Consumer as _;

use crate::context::Consumer;

/// The strategy that is used with such members.
const RANGE: &CStr = c"range";
/// The function is looked for in so many words at the beginning of what the library keeps of a strategy.
const WORDS: usize = 8;

/// How the library holds bytes.
#[repr(C)]
struct Bytes {
    length: i32,
    data: *mut u8,
    begin: [u8; 1],
}

/// Writes a subscription: strategy, its state, topics, owned partitions, rack.
type Write =
    unsafe extern "C" fn(*const c_void, *mut c_void, *const c_void, *const c_void, *const c_void) -> *mut Bytes;

// Not in the library's header, but in every static build of it.
unsafe extern "C" {
    fn rd_kafka_assignor_find(client: *mut rd_kafka_t, strategy: *const c_char) -> *mut usize;
    fn rd_kafka_assignor_get_metadata_with_empty_userdata(
        strategy: *const c_void,
        state: *mut c_void,
        topics: *const c_void,
        owned: *const c_void,
        rack: *const c_void,
    ) -> *mut Bytes;
}

/// Makes a consumer write its subscription as version 0. Must be called before it subscribes.
///
/// Returns false where this build of the library is made otherwise than the known ones: then nothing is changed.
pub(crate) fn write_version_0(consumer: &Consumer) -> bool {
    let usual: Write = rd_kafka_assignor_get_metadata_with_empty_userdata;
    let ours: Write = version_0;
    // SAFETY: the client is borrowed. The record that is found belongs to it, is larger than the words that are looked at,
    // and is not read by the library's threads before the consumer subscribes. Only a word that holds the very function
    // which ours takes the place of is written.
    unsafe {
        let strategy = rd_kafka_assignor_find(consumer.client().native_ptr(), RANGE.as_ptr());
        if strategy.is_null() {
            return false;
        }
        let slot = (0..WORDS).map(|word| strategy.add(word)).find(|slot| slot.read() == usual as usize);
        if let Some(slot) = slot {
            slot.write(ours as usize);
        }
        slot.is_some()
    }
}

unsafe extern "C" fn version_0(
    strategy: *const c_void,
    state: *mut c_void,
    topics: *const c_void,
    owned: *const c_void,
    rack: *const c_void,
) -> *mut Bytes {
    // SAFETY: called by the library with what it would give its own function, which makes the bytes: `length` of them at
    // `data`, owned by the library, and nobody else has them yet. They only become fewer.
    unsafe {
        let made = rd_kafka_assignor_get_metadata_with_empty_userdata(strategy, state, topics, owned, rack);
        let Some(bytes) = made.as_mut() else { return made };
        let Ok(length) = usize::try_from(bytes.length) else { return made };
        let data = std::slice::from_raw_parts_mut(bytes.data, length);
        if let Some(end) = end_of_version_0(data) {
            data[..2].fill(0);
            bytes.length = i32::try_from(end).unwrap_or(bytes.length);
            // The library keeps the length once more, as it is sent, between the record and the data.
            if bytes.data.cast_const() == made.add(1).cast::<u8>().add(4) {
                bytes.data.sub(4).copy_from_nonoverlapping(bytes.length.to_be_bytes().as_ptr(), 4);
            }
        }
        made
    }
}

/// Finds where version, topics and user data end. `None` if the bytes are something else.
fn end_of_version_0(data: &[u8]) -> Option<usize> {
    let number = |at: usize| Some(i32::from_be_bytes(data.get(at..at + 4)?.try_into().ok()?));
    let mut at = 6;
    for _ in 0..number(2)? {
        at += 2 + usize::from(u16::from_be_bytes(data.get(at..at + 2)?.try_into().ok()?));
    }
    let user_data = usize::try_from(number(at)?).unwrap_or(0);
    let end = at + 4 + user_data;
    (end <= data.len()).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_0_ends_behind_the_user_data() {
        let version_0 = b"\x00\x03\x00\x00\x00\x02\x00\x03abc\x00\x01d\x00\x00\x00\x02uu";
        let more = b"\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff";
        let whole = [&version_0[..], more].concat();
        assert_eq!(end_of_version_0(&whole), Some(version_0.len()));
        assert_eq!(end_of_version_0(&version_0[..version_0.len() - 1]), None);
        assert_eq!(end_of_version_0(b""), None);
    }
}
