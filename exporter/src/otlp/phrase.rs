//! Short text that comes again and again.

/// Bytes that are copied at once, without a look at how many are needed.
const SHORT: usize = 32;

/// Text that is short nearly always.
#[derive(Debug, Default)]
pub(super) struct Phrase {
    text: Vec<u8>,
    /// What it starts with.
    start: [u8; SHORT],
}

impl Phrase {
    /// Puts it together of these parts.
    pub(super) fn set(&mut self, parts: &[&[u8]]) {
        self.text.clear();
        for part in parts {
            self.text.extend_from_slice(part);
        }
        let start = self.text.len().min(SHORT);
        self.start[..start].copy_from_slice(&self.text[..start]);
    }

    /// Bytes of it.
    pub(super) const fn len(&self) -> usize {
        self.text.len()
    }

    /// Appends it.
    #[inline]
    pub(super) fn push(&self, out: &mut Vec<u8>) {
        if self.text.len() <= SHORT {
            let end = out.len() + self.text.len();
            out.extend_from_slice(&self.start);
            out.truncate(end);
        } else {
            out.extend_from_slice(&self.text);
        }
    }
}

impl Clone for Phrase {
    fn clone(&self) -> Self {
        Self { text: self.text.clone(), start: self.start }
    }

    // Allocates nothing where it has been as long before.
    fn clone_from(&mut self, source: &Self) {
        self.text.clone_from(&source.text);
        self.start = source.start;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_of_every_length() {
        let text: Vec<u8> = (0..100).collect();
        let (mut phrase, mut copy) = (Phrase::default(), Phrase::default());
        for len in [0, 1, 31, 32, 33, 100, 5, 0] {
            let (start, end) = text[..len].split_at(len / 2);
            phrase.set(&[start, end]);
            copy.clone_from(&phrase);
            for phrase in [&phrase, &copy] {
                let mut out = vec![7];
                phrase.push(&mut out);
                assert_eq!((out[0], &out[1..], phrase.len()), (7, &text[..len], len));
            }
        }
    }
}
