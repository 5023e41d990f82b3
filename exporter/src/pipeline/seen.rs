//! Which accesses were told lately.

/// Places that a number may have: with one, two numbers that come in turn would drive each other out, each time, if they had the same.
const WAYS: usize = 4;
/// A power of two: 16,384 places, 128 KiB.
const SETS: usize = 1 << 12;

/// Numbers of accesses, each in one of the places that it may have; nothing where none is to be remembered.
#[derive(Debug, Default)]
pub(super) struct Seen(Vec<[u64; WAYS]>);

impl Seen {
    pub(super) fn new() -> Self {
        Self(vec![[0; WAYS]; SETS])
    }

    /// Whether this number, an odd one, was there before. It is from now on: in place of the one, of those with the same places, that did not
    /// come for the longest time.
    pub(super) fn comes_again(&mut self, identity: u64) -> bool {
        let Some(set) = self.0.get_mut(identity as usize >> 1 & (SETS - 1)) else { return false };
        let known = set.iter().position(|seen| *seen == identity);
        set[..=known.unwrap_or(WAYS - 1)].rotate_right(1);
        set[0] = identity;
        known.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the programs' hash makes them.
    fn identity(number: u64) -> u64 {
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9) | 1
    }

    #[test]
    fn what_comes_in_turn_is_known() {
        let mut seen = Seen::new();
        assert!((0..1000).all(|number| !seen.comes_again(identity(number))));
        assert!((0..1000).all(|number| seen.comes_again(identity(number))));
        // What comes once drives out what does not come, and only that.
        for round in 0..100 {
            assert!((0..200).all(|number| !seen.comes_again(identity(1000 + 200 * round + number))));
            assert!((0..100).all(|number| seen.comes_again(identity(number))));
        }
        assert!((500..1000).any(|number| !seen.comes_again(identity(number))));
    }

    #[test]
    fn nothing_is_remembered_where_nothing_is_to_be() {
        let mut seen = Seen::default();
        assert!(!seen.comes_again(7) && !seen.comes_again(7));
    }
}
