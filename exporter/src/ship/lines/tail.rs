//! The end of a file that was written to when the exporter was killed, or the power cut.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use serde::de::IgnoredAny;

use super::calls::Calls;

/// Longest line that is looked at: requests have a few MiB, and are twice as long as JSON.
const LINE_MAX: u64 = 32 << 20;

/// Makes the file end with a whole line. The start of a line of ours is removed, for it was never acknowledged, and a reader
/// of the trail would take it for a broken record. Whatever else is there stays, as a line of its own.
pub(super) fn mend(file: &File, calls: &impl Calls) -> io::Result<()> {
    let len = file.metadata()?.len();
    let mut last = *b"\n";
    if len > 0 {
        file.read_exact_at(&mut last, len - 1)?;
    }
    if last == *b"\n" {
        return Ok(());
    }
    let from = len.saturating_sub(LINE_MAX);
    let mut tail = vec![0; (len - from) as usize];
    file.read_exact_at(&mut tail, from)?;
    let start = match memchr::memrchr(b'\n', &tail) {
        Some(newline) => Some(newline + 1),
        None => (from == 0).then_some(0),
    };
    match start.filter(|start| is_torn(&tail[*start..])) {
        Some(start) => {
            tracing::warn!(
                bytes = tail.len() - start,
                "removed the start of a line from the end of the file of records"
            );
            calls.set_len(file, from + start as u64)
        }
        None => calls.append(file, b"\n"),
    }
}

/// The start of an object; or zeros, which a power cut leaves where the length was durable and the bytes were not.
fn is_torn(line: &[u8]) -> bool {
    matches!(line.first(), Some(b'{' | 0)) && serde_json::from_slice::<IgnoredAny>(line).is_err()
}
