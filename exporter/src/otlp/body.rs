//! The body of a log record: one line for people, as Loki shows it.

use inotrail_ebpf::flags;

use crate::event::{Event, Operation};

use super::deed::Deed;
use super::names::Files;
use super::phrase::Phrase;
use super::room::Writer;
use super::wire::{self, tag};

/// `LogRecord.body`
const BODY: u8 = tag(5);
/// What comes before the number of accesses.
const TIMES: &[u8; 2] = b" x";

/// `python3[1234] opened /etc/passwd for reading`, `cat[7] failed to open /etc/shadow for reading: EACCES`, or, where
/// the backend cannot see the outcome, `cat[7] asked to open /etc/passwd for reading`. Of accesses that were only counted
/// nobody knows the process: `opened inode 7 of device 8:1 for reading x12`. With two
/// paths `mv[9] renamed /a to /b`. `label` is what comes before the verb.
pub(super) fn push(
    out: &mut Writer<'_>,
    event: &Event<'_>,
    files: &Files<'_>,
    (label, deed): (&Phrase, &Deed),
    text: &mut Vec<u8>,
) {
    let [before, after, end, both] = &deed.words;
    let name = file(event, files, text);
    let is_plain = event.count == 1 && files.target.is_empty();
    let mut len = label.len() + before.len() + name.len() + both.len();
    let (mut count, mut times) = (itoa::Buffer::new(), "");
    if !is_plain {
        if !files.target.is_empty() {
            len += link(event).len() + files.target.len();
        }
        if event.count > 1 {
            times = count.format(event.count);
            len += TIMES.len() + times.len();
        }
    }
    open(out, len);
    out.phrase(label);
    out.phrase(before);
    out.copy(name);
    if is_plain {
        return out.phrase(both);
    }
    out.phrase(after);
    if !files.target.is_empty() {
        out.copy(link(event));
        out.copy(files.target);
    }
    out.phrase(end);
    if event.count > 1 {
        out.put(TIMES);
        out.copy(times.as_bytes());
    }
}

/// What comes before a text of so many bytes.
#[inline]
fn open(out: &mut Writer<'_>, len: usize) {
    let message = wire::bytes_len(len);
    if message < 0x80 {
        return out.put(&[BODY, message as u8, wire::STRING, len as u8]);
    }
    out.put(&[BODY]);
    out.varint(message as u64);
    out.put(&[wire::STRING]);
    out.varint(len as u64);
}

/// What the body says between two paths.
fn link(event: &Event<'_>) -> &'static [u8] {
    let exchanged = event.access.header.flags & flags::EXCHANGED != 0;
    match event.access.operation() {
        Operation::Link => b" as ",
        _ if exchanged => b" with ",
        _ => b" to ",
    }
}

/// The best name of the file that there is, put together in `text` where it has no path.
#[inline]
fn file<'a>(event: &Event<'_>, files: &Files<'a>, text: &'a mut Vec<u8>) -> &'a [u8] {
    if files.path.is_empty() { nameless(event, files, text) } else { files.path }
}

fn nameless<'a>(event: &Event<'_>, files: &Files<'a>, text: &'a mut Vec<u8>) -> &'a [u8] {
    let header = event.access.header;
    if !files.requested.is_empty() {
        return files.requested;
    }
    if header.inode == 0 {
        return b"an unknown file";
    }
    text.clear();
    text.extend_from_slice(b"inode ");
    decimal(text, header.inode);
    text.extend_from_slice(b" of device ");
    device(text, header.device);
    text
}

/// `8:1`. The kernel numbers devices by 12 bits of major and 20 of minor (`include/linux/kdev_t.h`).
pub(super) fn device(out: &mut Vec<u8>, device: u32) {
    decimal(out, (device >> 20).into());
    out.push(b':');
    decimal(out, (device & 0xf_ffff).into());
}

/// A number's decimal digits.
fn decimal(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}
