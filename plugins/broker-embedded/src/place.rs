//! Where a message lies, as one number: topic, partition and offset, so that a partition is one range of the table.

/// As many partitions as a place has room for.
pub(crate) const MAX_PARTITIONS: u32 = 128;
/// As many topics as a place has room for.
pub(crate) const MAX_TOPICS: i64 = (1 << 16) - 1;
/// The offsets of a partition: a million million.
const OFFSET_BITS: u32 = 40;
const PARTITION_BITS: u32 = 7;

/// Returns the row of a message.
pub(crate) fn place(topic: i64, partition: u32, offset: u64) -> i64 {
    first(topic, partition) | (offset.min((1 << OFFSET_BITS) - 1) as i64)
}

/// Returns the first row that a partition may have.
pub(crate) fn first(topic: i64, partition: u32) -> i64 {
    topic << (OFFSET_BITS + PARTITION_BITS) | i64::from(partition) << OFFSET_BITS
}

/// Returns the last row that a partition may have.
pub(crate) fn last(topic: i64, partition: u32) -> i64 {
    place(topic, partition, u64::MAX)
}

/// Returns the offset of a row.
pub(crate) fn offset(place: i64) -> u64 {
    place as u64 & ((1 << OFFSET_BITS) - 1)
}

/// Hashes a key: FNV-1a, mixed at the end because its low bits are weak. It decides partitions, so it never changes.
pub(crate) fn hash(key: &[u8]) -> u64 {
    let fnv = key
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    let mixed = (fnv ^ fnv >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^ mixed >> 33
}

/// Returns the partition of a key.
pub(crate) fn partition(key: &[u8], partitions: u32) -> u32 {
    (hash(key) % u64::from(partitions)) as u32
}

/// Returns the partition of a turn: each once before any comes again, neighbours in turn far from each other, so that
/// a few turns reach every member of a queue.
pub(crate) fn spread(turn: u32, partitions: u32) -> u32 {
    let stride = [7, 11].into_iter().find(|prime| !partitions.is_multiple_of(*prime)).unwrap_or(13);
    (u64::from(turn) * u64::from(stride) % u64::from(partitions)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_reach_every_partition_and_four_of_them_every_half() {
        for partitions in 1..=MAX_PARTITIONS {
            let reached: std::collections::BTreeSet<_> = (0..partitions).map(|turn| spread(turn, partitions)).collect();
            assert_eq!(reached.len() as u32, partitions);
        }
        for turn in 0..16 {
            let low = (turn..turn + 4).filter(|turn| spread(*turn, 16) < 8).count();
            assert!((1..=3).contains(&low), "{turn}");
        }
    }

    #[test]
    fn partitions_are_ranges_that_do_not_touch() {
        assert!(last(7, 3) < first(7, 4));
        assert!(last(7, MAX_PARTITIONS - 1) < first(8, 0));
        assert!(last(MAX_TOPICS, MAX_PARTITIONS - 1) > 0);
        assert_eq!(offset(place(7, 127, 123_456_789_012)), 123_456_789_012);
    }

    #[test]
    fn the_partition_of_a_key_never_changes() {
        assert_eq!([partition(b"order-7", 16), partition(b"", 16), partition(b"N14228", 16)], [15, 2, 13]);
    }

    #[test]
    fn keys_spread_evenly() {
        let mut counts = [0; 16];
        for n in 0..16_000 {
            counts[partition(format!("key-{n}").as_bytes(), 16) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    }
}
