//! The hash of keys and ids: the same in every process and every version of this program.

/// Hashes bytes: FNV-1a, mixed so that all bits count.
pub(super) fn of(bytes: &[u8]) -> u64 {
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    mix(bytes.iter().fold(0xcbf2_9ce4_8422_2325, fold))
}

/// Makes a number of which all bits depend on all bits of the given one: the last step of splitmix64.
pub(super) fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_same_hash_in_every_version() {
        assert_eq!(of(b"user-7"), 0x9e12_4c98_a398_664e);
        assert_ne!(of(b"user-7"), of(b"user-8"));
    }
}
