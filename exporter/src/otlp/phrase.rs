//! Short text that comes again and again.

/// Text that is short nearly always: so many bytes of it are copied at once, without a look at how many are needed.
#[derive(Debug)]
pub(super) struct Phrase<const SHORT: usize = 32> {
    text: Vec<u8>,
    /// What it starts with.
    start: [u8; SHORT],
}

impl<const SHORT: usize> Phrase<SHORT> {
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

    /// All of it.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// It and any bytes, where it is short.
    #[inline]
    pub(super) fn short(&self) -> Option<&[u8; SHORT]> {
        (self.text.len() <= SHORT).then_some(&self.start)
    }
}

impl<const SHORT: usize> Default for Phrase<SHORT> {
    fn default() -> Self {
        Self { text: Vec::new(), start: [0; SHORT] }
    }
}

impl<const SHORT: usize> Clone for Phrase<SHORT> {
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
    use super::super::room::Writer;
    use super::*;

    #[test]
    fn phrases_of_every_length() {
        let text: Vec<u8> = (0..100).collect();
        let (mut phrase, mut copy) = (Phrase::<32>::default(), Phrase::default());
        for len in [0, 1, 31, 32, 33, 100, 5, 0] {
            let (start, end) = text[..len].split_at(len / 2);
            phrase.set(&[start, end]);
            copy.clone_from(&phrase);
            for phrase in [&phrase, &copy] {
                let mut out = [7; 200];
                let mut writer = Writer::new(&mut out[1..]);
                writer.phrase(phrase);
                assert_eq!((writer.left(), phrase.len()), (199 - len, len));
                assert_eq!((out[0], &out[1..=len]), (7, &text[..len]));
            }
        }
    }
}
