//! Bytes of what comes again and again, encoded once.

/// As many places as are asked for, each with what was encoded last of all that belongs there.
#[derive(Debug)]
pub(super) struct Memo<K, V>(Vec<(Option<K>, V)>);

impl<K: PartialEq, V: Default> Memo<K, V> {
    /// `places` is a power of two.
    pub(super) fn new(places: usize) -> Self {
        assert!(places.is_power_of_two());
        Self(std::iter::repeat_with(Default::default).take(places).collect())
    }

    /// Where that of this key is, if it is known.
    #[inline]
    pub(super) fn find(&self, hash: u32, key: &K) -> Option<usize> {
        let place = hash as usize & (self.0.len() - 1);
        (self.0[place].0.as_ref() == Some(key)).then_some(place)
    }

    /// What is there.
    #[inline]
    pub(super) fn at(&self, place: usize) -> &V {
        &self.0[place].1
    }

    /// What belongs to a key, of which `hash` is any number; `fill` gets what was at its place, if it was another one's.
    #[inline]
    pub(super) fn get(&mut self, hash: u32, key: K, fill: impl FnOnce(&mut V)) -> &V {
        let place = hash as usize & (self.0.len() - 1);
        let (known, value) = &mut self.0[place];
        if known.as_ref() != Some(&key) {
            fill(value);
            *known = Some(key);
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_of_a_place_is_known() {
        let mut memo = Memo::new(4);
        let mut check = |key: u32, is_known: bool| {
            assert_eq!(memo.find(key, &key).is_some(), is_known);
            let mut filled = false;
            let value = memo.get(key, key, |value: &mut Vec<u32>| {
                filled = true;
                value.clear();
                value.push(key);
            });
            assert_eq!((value.as_slice(), filled), (&[key][..], !is_known));
        };
        check(1, false);
        check(2, false);
        check(1, true);
        check(5, false);
        check(2, true);
        check(1, false);
    }
}
