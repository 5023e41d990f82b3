//! gRPC's length-prefixed messages, compressed by us: tonic knows neither zstd's level 1 nor how to compress only once.
//!
//! A message is a byte that says whether it is compressed, its length as a big-endian u32, and itself
//! (grpc/doc/PROTOCOL-HTTP2.md).

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use zstd::bulk::Decompressor;

use super::outcome::unpacked;

pub(super) use crate::config::choice::Compression;

/// Bytes before the message.
const PREFIX: usize = 5;
/// Most bytes of an answer, compressed or not: an acknowledgement, with at most an error message.
pub(super) const ANSWER_MAX: usize = 64 * 1024;

impl Compression {
    /// The value of `grpc-encoding`.
    pub(super) const fn encoding(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
            Self::None => "identity",
        }
    }

    /// What to try where it is refused.
    pub(super) const fn next(self) -> Option<Self> {
        match self {
            Self::Zstd => Some(Self::Gzip),
            Self::Gzip => Some(Self::None),
            Self::None => None,
        }
    }
}

/// The body, compressed otherwise than by zstd where that is asked for; nothing where it is damaged.
pub(super) fn body(packed: &Bytes, compression: Compression) -> Option<Bytes> {
    match compression {
        Compression::Zstd => Some(packed.clone()),
        Compression::Gzip => Some(gzip(&unpacked(packed)?, 0)?.into()),
        Compression::None => unpacked(packed).map(Bytes::from),
    }
}

/// One frame of a body that is compressed by zstd; nothing where it is damaged.
pub(super) fn frame(packed: &[u8], compression: Compression) -> Option<Bytes> {
    let (flag, mut frame) = match compression {
        Compression::Zstd => (1, plain(packed)),
        Compression::Gzip => (1, gzip(&unpacked(packed)?, PREFIX)?),
        Compression::None => (0, plain(&unpacked(packed)?)),
    };
    let len = (frame.len() - PREFIX) as u32;
    frame[0] = flag;
    frame[1..PREFIX].copy_from_slice(&len.to_be_bytes());
    Some(frame.into())
}

fn plain(body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(PREFIX + body.len());
    frame.resize(PREFIX, 0);
    frame.extend_from_slice(body);
    frame
}

/// Compressed, behind so many bytes.
fn gzip(body: &[u8], behind: usize) -> Option<Vec<u8>> {
    let mut frame = Vec::with_capacity(behind + body.len() / 4);
    frame.resize(behind, 0);
    let mut encoder = GzEncoder::new(frame, flate2::Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}

/// The message in an answer's body; an empty body is an empty message. Nothing where it is broken, too long, or
/// compressed by what we did not ask for.
pub(super) fn message(body: &[u8], encoding: &str) -> Option<Vec<u8>> {
    let Some((prefix, rest)) = body.split_first_chunk::<PREFIX>() else {
        return body.is_empty().then(Vec::new);
    };
    let [flag, len @ ..] = *prefix;
    let message = rest.get(..u32::from_be_bytes(len) as usize)?;
    match (flag, encoding) {
        (0, _) => Some(message.to_vec()),
        (1, "zstd") => Decompressor::new().ok()?.decompress(message, ANSWER_MAX).ok(),
        (1, "gzip") => {
            let mut out = Vec::new();
            GzDecoder::new(message).take(ANSWER_MAX as u64).read_to_end(&mut out).ok()?;
            Some(out)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(body: &[u8], compression: Compression) -> Bytes {
        frame(&zstd::bulk::compress(body, 1).expect("compress"), compression).expect("a frame")
    }

    #[test]
    fn frames_can_be_read_back() {
        let long = b"inotrail.file.access".repeat(1000);
        for compression in [Compression::Zstd, Compression::Gzip, Compression::None] {
            for body in [&b""[..], b"x", &long] {
                let frame = framed(body, compression);
                assert_eq!(message(&frame, compression.encoding()).as_deref(), Some(body), "{compression:?}");
                assert!(compression == Compression::None || frame.len() < 500);
            }
        }
    }

    #[test]
    fn answers() {
        let check = |body: &[u8], encoding, expected: Option<&[u8]>| {
            assert_eq!(message(body, encoding).as_deref(), expected, "{body:?}");
        };
        check(b"", "identity", Some(b""));
        check(b"\0\0\0\0\0", "identity", Some(b""));
        check(b"\0\0\0\0\x02ab", "zstd", Some(b"ab"));
        check(b"\0\0\0\0\x03ab", "identity", None);
        check(b"\0\0", "identity", None);
        check(b"\x01\0\0\0\x02ab", "zstd", None);
        check(b"\x01\0\0\0\x02ab", "gzip", None);
        check(b"\x01\0\0\0\x02ab", "br", None);
        check(b"\x02\0\0\0\x02ab", "gzip", None);
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let bomb = framed(&vec![0; 100 << 20], Compression::Zstd);
        assert_eq!(message(&bomb, "zstd"), None);
    }
}
