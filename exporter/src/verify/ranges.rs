//! Numbers as ranges: a series without holes takes the room of one range, however long it is.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// A set of numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges {
    /// First -> last; no two touch.
    ranges: BTreeMap<u64, u64>,
}

impl Ranges {
    /// Adds a number; false: it was there.
    pub(super) fn insert(&mut self, number: u64) -> bool {
        let before = self.ranges.range(..=number).next_back().map(|(first, last)| (*first, *last));
        if before.is_some_and(|(_, last)| number <= last) {
            return false;
        }
        let follows = before.filter(|(_, last)| last.checked_add(1) == Some(number));
        let last = number.checked_add(1).and_then(|next| self.ranges.remove(&next)).unwrap_or(number);
        let first = follows.map_or(number, |(first, _)| first);
        self.ranges.insert(first, last);
        true
    }

    /// How many ranges there are.
    pub(super) fn len(&self) -> usize {
        self.ranges.len()
    }

    /// How many numbers there are.
    pub(super) fn count(&self) -> u64 {
        self.ranges.iter().fold(0, |sum: u64, (first, last)| sum.saturating_add((last - first).saturating_add(1)))
    }

    /// The first number.
    pub(super) fn first(&self) -> Option<u64> {
        self.ranges.first_key_value().map(|(first, _)| *first)
    }

    /// What is missing from `start` to the last number.
    pub(super) fn holes(&self, start: u64) -> impl Iterator<Item = RangeInclusive<u64>> {
        let mut next = start;
        self.ranges.iter().filter_map(move |(first, last)| {
            let hole = (*first > next).then(|| next..=first - 1);
            next = next.max(last.saturating_add(1));
            hole
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(numbers: &[u64]) -> Ranges {
        let mut ranges = Ranges::default();
        for number in numbers {
            ranges.insert(*number);
        }
        ranges
    }

    #[test]
    fn holes() {
        let check = |numbers: &[u64], start, expected: &[(u64, u64)]| {
            let found: Vec<_> = of(numbers).holes(start).map(|hole| (*hole.start(), *hole.end())).collect();
            assert_eq!(found, expected, "{numbers:?} from {start}");
        };
        check(&[], 1, &[]);
        check(&[1, 2, 3], 1, &[]);
        check(&[3, 1, 2], 1, &[]);
        check(&[2, 3], 1, &[(1, 1)]);
        check(&[2, 3], 2, &[]);
        check(&[1, 4, 5, 9], 1, &[(2, 3), (6, 8)]);
        check(&[1, u64::MAX], 1, &[(2, u64::MAX - 1)]);
        check(&[u64::MAX, u64::MAX - 1], 5, &[(5, u64::MAX - 2)]);
    }

    proptest! {
        #[test]
        fn is_a_set(numbers in prop::collection::vec(1_u64..60, 0..80)) {
            let mut ranges = Ranges::default();
            let mut set = std::collections::BTreeSet::new();
            for number in &numbers {
                prop_assert_eq!(ranges.insert(*number), set.insert(*number));
            }
            prop_assert_eq!((ranges.count(), ranges.first()), (set.len() as u64, set.first().copied()));
            let missing: Vec<u64> = ranges.holes(1).flatten().collect();
            let expected: Vec<u64> = (1..=set.last().copied().unwrap_or(0)).filter(|it| !set.contains(it)).collect();
            prop_assert_eq!(missing, expected);
        }
    }
}
