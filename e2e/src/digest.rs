//! SHA-256 in hexadecimal, as image digests, container ids and cache names are written.

use sha2::{Digest as _, Sha256};

/// 64 lower-case digits.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
