use std::collections::BTreeMap;

/// A set of numbers, kept as ranges.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    /// Adds one number.
    pub(crate) fn insert(&mut self, number: u64) {
        self.insert_range(number, number + 1);
    }

    /// Adds the numbers from `start` up to, not with, `end`.
    pub(crate) fn insert_range(&mut self, mut start: u64, mut end: u64) {
        if let Some((&before, &its_end)) = self.0.range(..=start).next_back()
            && its_end >= start
        {
            if its_end >= end {
                return;
            }
            start = before;
        }
        while let Some((&after, &its_end)) = self.0.range(start..=end).next() {
            end = end.max(its_end);
            self.0.remove(&after);
        }
        self.0.insert(start, end);
    }

    /// Returns the end of the range that holds the number.
    pub(crate) fn end_of(&self, number: u64) -> Option<u64> {
        self.0.range(..=number).next_back().map(|(_, end)| *end).filter(|end| *end > number)
    }

    /// Removes the range that begins here, and returns its end.
    pub(crate) fn take_at(&mut self, start: u64) -> Option<u64> {
        self.0.remove(&start)
    }

    /// Returns the ranges in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().map(|(start, end)| (*start, *end))
    }

    /// Returns how many ranges there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ranges: &Ranges) -> Vec<(u64, u64)> {
        ranges.iter().collect()
    }

    #[test]
    fn neighbours_grow_together() {
        let mut ranges = Ranges::default();
        for number in [5, 1, 3, 2, 9, 4, 5] {
            ranges.insert(number);
        }
        assert_eq!(of(&ranges), [(1, 6), (9, 10)]);
        ranges.insert_range(0, 20);
        assert_eq!(of(&ranges), [(0, 20)]);
    }

    #[test]
    fn a_number_in_a_range_has_its_end() {
        let mut ranges = Ranges::default();
        ranges.insert_range(4, 8);
        assert_eq!([3, 4, 7, 8].map(|n| ranges.end_of(n)), [None, Some(8), Some(8), None]);
        assert_eq!((ranges.take_at(5), ranges.take_at(4), ranges.len()), (None, Some(8), 0));
    }

    #[test]
    fn it_holds_what_a_plain_set_holds() {
        let (mut ranges, mut set, mut seed) = (Ranges::default(), std::collections::BTreeSet::new(), 7u64);
        for _ in 0..2000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let number = (seed >> 33) % 500;
            ranges.insert(number);
            set.insert(number);
        }
        let flat: Vec<u64> = ranges.iter().flat_map(|(start, end)| start..end).collect();
        assert_eq!(flat, set.into_iter().collect::<Vec<_>>());
    }
}
