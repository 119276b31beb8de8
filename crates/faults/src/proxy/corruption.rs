/// Which way data goes through a [`Proxy`](crate::Proxy).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// Which bits of what goes through a [`Proxy`](crate::Proxy) are flipped: the same ones for the same seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Corruption {
    span: u64,
    once: bool,
    seed: u64,
}

impl Corruption {
    /// Flips one bit in every so many bytes.
    ///
    /// # Panics
    ///
    /// If that is 0.
    #[must_use]
    pub fn every(bytes: u64) -> Self {
        assert!(bytes > 0, "one bit in every 0 bytes cannot be flipped");
        Self { span: bytes, once: false, seed: 0 }
    }

    /// Flips one bit within the next so many bytes, and none after it.
    ///
    /// # Panics
    ///
    /// If that is 0.
    #[must_use]
    pub fn within(bytes: u64) -> Self {
        Self { once: true, ..Self::every(bytes) }
    }

    /// Sets what the places are chosen by; 0 if it is not called.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Returns the byte and the bit of a span that is flipped.
    fn place(&self, span: u64) -> (u64, u8) {
        let random = scatter(self.seed ^ scatter(span));
        (span * self.span + random % self.span, 1 << (random >> 61))
    }
}

/// A corruption at work: one direction of all connections of a proxy.
#[derive(Debug)]
pub(super) struct Corrupting {
    corruption: Corruption,
    passed: u64,
}

impl Corrupting {
    pub(super) fn new(corruption: Corruption) -> Self {
        Self { corruption, passed: 0 }
    }

    /// Flips what is to be flipped in the next piece, and returns how much that was.
    pub(super) fn pass(&mut self, piece: &mut [u8]) -> u64 {
        let (start, span) = (self.passed, self.corruption.span);
        let end = start + piece.len() as u64;
        self.passed = end;
        let mut flipped = 0;
        for number in start / span..=end / span {
            if self.corruption.once && number > 0 {
                break;
            }
            let (place, bit) = self.corruption.place(number);
            if (start..end).contains(&place) {
                piece[(place - start) as usize] ^= bit;
                flipped += 1;
            }
        }
        flipped
    }
}

/// Turns numbers that lie side by side into ones that do not: SplitMix64.
fn scatter(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flips(corruption: Corruption, pieces: &[usize]) -> Vec<usize> {
        let mut corrupting = Corrupting::new(corruption);
        let mut all = Vec::new();
        let mut told = 0;
        for length in pieces {
            let mut piece = vec![0; *length];
            told += corrupting.pass(&mut piece);
            all.extend(piece);
        }
        assert!(all.iter().all(|byte| byte.count_ones() <= 1));
        let places: Vec<usize> = (0..all.len()).filter(|place| all[*place] != 0).collect();
        assert_eq!(told, places.len() as u64);
        places
    }

    #[test]
    fn the_places_depend_on_the_seed_and_not_on_how_the_data_was_cut() {
        let corruption = Corruption::every(100).seed(7);
        let places = flips(corruption, &[1000]);
        assert_eq!(places.iter().map(|place| place / 100).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
        assert_eq!(flips(corruption, &[1, 99, 101, 299, 1, 499]), places);
        assert_ne!(flips(corruption.seed(8), &[1000]), places);
        assert_eq!(flips(Corruption::every(1), &[50]).len(), 50);
    }

    #[test]
    fn within_flips_a_single_bit() {
        for seed in 0..100 {
            let places = flips(Corruption::within(64).seed(seed), &[10, 500, 500]);
            assert!(places.len() == 1 && places[0] < 64, "{places:?}");
        }
    }
}
