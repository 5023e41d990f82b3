//! The body of a log record: one line for people, as Loki shows it.

use inotrail_ebpf::flags;

use crate::event::{Event, Operation};

use super::deed::Deed;
use super::names::Files;
use super::phrase::Phrase;

/// `python3[1234] opened /etc/passwd for reading`, `cat[7] failed to open /etc/shadow for reading: EACCES`, or, where
/// the backend cannot see the outcome, `cat[7] asked to open /etc/passwd for reading`. Of accesses that were only counted
/// nobody knows the process: `opened inode 7 of device 8:1 for reading x12`. With two
/// paths `mv[9] renamed /a to /b`. `label` is what comes before the verb.
pub(super) fn push(out: &mut Vec<u8>, event: &Event<'_>, files: &Files<'_>, label: &Phrase, deed: &Deed) {
    let [before, after, end] = &deed.words;
    label.push(out);
    before.push(out);
    file(out, event, files);
    after.push(out);
    if !files.target.is_empty() {
        target(out, event, files.target);
    }
    end.push(out);
    if event.count > 1 {
        out.extend_from_slice(b" x");
        decimal(out, event.count);
    }
}

fn target(out: &mut Vec<u8>, event: &Event<'_>, target: &[u8]) {
    let exchanged = event.access.header.flags & flags::EXCHANGED != 0;
    out.extend_from_slice(match event.access.operation() {
        Operation::Link => b" as ",
        _ if exchanged => b" with ",
        _ => b" to ",
    });
    out.extend_from_slice(target);
}

/// The best name of the file that there is.
fn file(out: &mut Vec<u8>, event: &Event<'_>, files: &Files<'_>) {
    let header = event.access.header;
    if !files.path.is_empty() {
        out.extend_from_slice(files.path);
    } else if !files.requested.is_empty() {
        out.extend_from_slice(files.requested);
    } else if header.inode != 0 {
        out.extend_from_slice(b"inode ");
        decimal(out, header.inode);
        out.extend_from_slice(b" of device ");
        device(out, header.device);
    } else {
        out.extend_from_slice(b"an unknown file");
    }
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
