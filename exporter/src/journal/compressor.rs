//! Requests, compressed in memory that is used again: with their own, the kernel would have to make pages for each.

use std::io;

use bytes::Bytes;
use zstd::zstd_safe;

/// The same records take half of gzip's bytes and less time; more effort gains little.
const LEVEL: i32 = 1;

/// zstd at one level.
#[derive(Default)]
pub(super) struct Compressor {
    context: Option<zstd::bulk::Compressor<'static>>,
    out: Vec<u8>,
}

impl Compressor {
    /// One frame, in no more memory than it takes: it may wait for long.
    pub(super) fn compress(&mut self, body: &[u8]) -> io::Result<Bytes> {
        let context = match &mut self.context {
            Some(context) => context,
            place => place.insert(zstd::bulk::Compressor::new(LEVEL)?),
        };
        self.out.clear();
        self.out.reserve(zstd_safe::compress_bound(body.len()));
        context.compress_to_buffer(body, &mut self.out)?;
        Ok(Bytes::copy_from_slice(&self.out))
    }

    /// Keeps no memory until the next one.
    pub(super) fn give_back(&mut self) {
        *self = Self::default();
    }
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressor").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_the_librarys_own() {
        // Unlike enough that each level has another frame.
        let numbers = (0..20_000_u32).map(|number| number.wrapping_mul(2_654_435_761).to_string());
        let paths = numbers.collect::<Vec<_>>().join("/file\0/srv/");
        assert_ne!(
            zstd::bulk::compress(paths.as_bytes(), LEVEL).unwrap(),
            zstd::bulk::compress(paths.as_bytes(), LEVEL + 2).unwrap()
        );
        let mut compressor = Compressor::default();
        for body in [paths.as_bytes(), &vec![7; 300_000], b"", paths.as_bytes()] {
            let frame = compressor.compress(body).unwrap();
            assert_eq!(frame, zstd::bulk::compress(body, LEVEL).unwrap());
        }
        compressor.give_back();
        assert!(compressor.context.is_none() && compressor.compress(b"abc").is_ok());
    }
}
