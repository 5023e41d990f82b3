//! What a bench program does with requests.

use anyhow::{Result, bail};

/// The exporter's level of zstd.
const LEVEL: i32 = 1;

/// Bytes of requests, which prove that the work was done.
#[derive(Debug)]
pub struct Counted {
    compresses: bool,
    /// How many.
    pub bytes: usize,
}

impl Counted {
    /// Each request as it is (`none`), or compressed first (`zstd`).
    ///
    /// # Errors
    /// It is neither.
    pub fn new(compression: &str) -> Result<Self> {
        let compresses = match compression {
            "none" => false,
            "zstd" => true,
            other => bail!("{other}: none, or zstd"),
        };
        Ok(Self { compresses, bytes: 0 })
    }

    /// Counts a request. One that cannot be compressed is none.
    pub fn add(&mut self, request: &[u8]) {
        self.bytes += if self.compresses {
            zstd::bulk::compress(request, LEVEL).map_or(0, |packed| packed.len())
        } else {
            request.len()
        };
    }
}
