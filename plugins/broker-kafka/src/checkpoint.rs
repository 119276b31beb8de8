//! What is committed beside an offset, so that the next owner of a partition repeats nothing that is settled.
//!
//! Kafka keeps one offset a partition: everything below it is settled. What is settled above it, and how often handlers
//! failed with what is not, travels in the commit's metadata: the text `m1:` and URL-safe base64 of variable-length
//! numbers: a count, then (distance, failures) pairs; a count, then (distance, length) runs of settled offsets. A
//! distance counts from where the last pair or run ended, at first from the committed offset. What does not fit may
//! come again; other clients ignore the text.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const MARK: &str = "m1:";
/// A broker takes 4,096 bytes by default (`offset.metadata.max.bytes`).
const MOST_TEXT: usize = 4096;
const MOST_BYTES: usize = (MOST_TEXT - MARK.len()) / 4 * 3;

/// The exceptions above a committed offset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// Offsets with how often handlers failed, ascending.
    pub(crate) attempts: Vec<(i64, u32)>,
    /// First offset and the one after the last of each settled run, ascending and apart.
    pub(crate) settled: Vec<(i64, i64)>,
}

impl Checkpoint {
    /// Writes it as metadata of a commit at `base`; empty if there is nothing to say.
    pub(crate) fn write(&self, base: i64) -> String {
        if self.attempts.is_empty() && self.settled.is_empty() {
            return String::new();
        }
        // Failure counts first: a settled message that comes again is a duplicate, a forgotten count may be a poison
        // message that goes round once more. A quarter of the room is theirs at most.
        let attempts =
            section(base, &self.attempts, MOST_BYTES / 4, |(offset, count)| (offset, count.into(), offset + 1));
        let left = MOST_BYTES - attempts.len();
        let settled = section(base, &self.settled, left, |(from, to)| (from, (to - from).unsigned_abs(), to));
        let mut text = MARK.to_owned();
        URL_SAFE_NO_PAD.encode_string([attempts, settled].concat(), &mut text);
        text
    }

    /// Reads the metadata of a commit at `base`. Nothing is known of what another client wrote there.
    pub(crate) fn read(base: i64, metadata: &[u8]) -> Self {
        let bytes = metadata.strip_prefix(MARK.as_bytes()).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        bytes.and_then(|bytes| Self::parse(base, &bytes)).unwrap_or_default()
    }

    fn parse(base: i64, mut bytes: &[u8]) -> Option<Self> {
        let mut checkpoint = Self::default();
        let mut last = base;
        for _ in 0..number(&mut bytes)? {
            let offset = last.checked_add_unsigned(number(&mut bytes)?)?;
            checkpoint.attempts.push((offset, u32::try_from(number(&mut bytes)?).ok()?));
            last = offset.checked_add(1)?;
        }
        last = base;
        for _ in 0..number(&mut bytes)? {
            let from = last.checked_add_unsigned(number(&mut bytes)?)?;
            last = from.checked_add_unsigned(number(&mut bytes)?)?;
            checkpoint.settled.push((from, last));
        }
        Some(checkpoint)
    }
}

/// Writes as many entries as fit: the distance from the last one's end, and a number.
fn section<E: Copy>(base: i64, entries: &[E], room: usize, parts: impl Fn(E) -> (i64, u64, i64)) -> Vec<u8> {
    // The count stands first; three bytes are more than it takes.
    let room = room.saturating_sub(3);
    let (mut body, mut count, mut last) = (Vec::new(), 0_u64, base);
    for entry in entries {
        let (from, value, end) = parts(*entry);
        let before = body.len();
        push(&mut body, (from - last).unsigned_abs());
        push(&mut body, value);
        if body.len() > room {
            body.truncate(before);
            break;
        }
        (count, last) = (count + 1, end);
    }
    let mut section = Vec::with_capacity(body.len() + 3);
    push(&mut section, count);
    section.append(&mut body);
    section
}

fn push(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number as u8) | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let checkpoint =
            Checkpoint { attempts: vec![(1000, 3), (1007, 70_000)], settled: vec![(1001, 1004), (1100, 900_000)] };
        assert_eq!(Checkpoint::read(1000, checkpoint.write(1000).as_bytes()), checkpoint);
        assert_eq!(Checkpoint::default().write(5), "");
    }

    #[test]
    fn too_much_is_cut_off_and_what_is_left_is_right() {
        let attempts: Vec<_> = (0..3000).map(|i| (i * 2, 1)).collect();
        let settled: Vec<_> = (0..3000).map(|i| (i * 2 + 1, i * 2 + 2)).collect();
        let text = Checkpoint { attempts: attempts.clone(), settled: settled.clone() }.write(0);
        assert!(text.len() <= MOST_TEXT && text.len() > MOST_TEXT - 16, "{}", text.len());
        let read = Checkpoint::read(0, text.as_bytes());
        assert!(!read.attempts.is_empty() && attempts.starts_with(&read.attempts));
        assert!(!read.settled.is_empty() && settled.starts_with(&read.settled));
    }

    #[test]
    fn what_others_wrote_is_nothing() {
        for foreign in [&b""[..], b"sarama", b"m1:", b"m1:!!!", b"m1:_____w", &[0xff, 0xfe], b"m1:gICAgICAgICAgIA"] {
            assert_eq!(Checkpoint::read(7, foreign), Checkpoint::default(), "{foreign:?}");
        }
    }
}
