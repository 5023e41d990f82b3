//! The body of a log record: one line for people, as Loki shows it.

use inotrail_ebpf::flags;

use crate::errno;
use crate::event::{AccessMode, Event, Operation, Outcome};

use super::decimal::decimal;
use super::names::Names;

/// `python3[1234] opened /etc/passwd for reading`, `cat[7] failed to open /etc/shadow for reading: EACCES`, or, where
/// the backend cannot see the outcome, `cat[7] asked to open /etc/passwd for reading`. Of accesses that were only counted
/// nobody knows the process: `opened inode 7 of device 8:1 for reading x12`. With two
/// paths `mv[9] renamed /a to /b`.
pub(super) fn push(out: &mut Vec<u8>, event: &Event<'_>, names: &Names<'_>) {
    let header = event.access.header;
    if header.tgid != 0 {
        out.extend_from_slice(names.comm);
        out.push(b'[');
        out.extend_from_slice(decimal(&mut [0; 20], header.tgid.into()));
        out.extend_from_slice(b"] ");
    }
    let (operation, outcome) = (event.access.operation(), event.access.outcome());
    let exchanged = header.flags & flags::EXCHANGED != 0;
    out.extend_from_slice(match outcome {
        Outcome::Success => b"",
        Outcome::Failure(_) => b"failed to ",
        Outcome::Unknown => b"asked to ",
    });
    let (done, to_do) = verb(operation, exchanged);
    out.extend_from_slice(if outcome == Outcome::Success { done } else { to_do }.as_bytes());
    out.push(b' ');
    file(out, event, names);
    out.extend_from_slice(match event.access.access_mode() {
        Some(AccessMode::Read) => b" for reading",
        Some(AccessMode::Write) => b" for writing",
        Some(AccessMode::ReadWrite) => b" for reading and writing",
        // "executed" says it all.
        Some(AccessMode::Execute) | None => b"",
    });
    if operation == Operation::MmapExecute {
        out.extend_from_slice(b" for execution");
    }
    if !names.target.is_empty() {
        out.extend_from_slice(match operation {
            Operation::Link => b" as ",
            _ if exchanged => b" with ",
            _ => b" to ",
        });
        out.extend_from_slice(names.target);
    }
    if let Outcome::Failure(errno) = outcome {
        out.extend_from_slice(b": ");
        error(out, errno);
    }
    if event.count > 1 {
        out.extend_from_slice(b" x");
        out.extend_from_slice(decimal(&mut [0; 20], event.count));
    }
}

/// What was done, and the same to be done.
const fn verb(operation: Operation, exchanged: bool) -> (&'static str, &'static str) {
    match operation {
        Operation::Open => ("opened", "open"),
        Operation::Create => ("created", "create"),
        Operation::Execute => ("executed", "execute"),
        Operation::Delete => ("deleted", "delete"),
        Operation::Rename if exchanged => ("exchanged", "exchange"),
        Operation::Rename => ("renamed", "rename"),
        Operation::Link => ("linked", "link"),
        Operation::Symlink => ("made the symbolic link", "make the symbolic link"),
        Operation::Mkdir => ("made the directory", "make the directory"),
        Operation::Rmdir => ("removed the directory", "remove the directory"),
        Operation::Truncate => ("truncated", "truncate"),
        Operation::Chmod => ("changed the mode of", "change the mode of"),
        Operation::Chown => ("changed the owner of", "change the owner of"),
        Operation::Setxattr => ("set an attribute of", "set an attribute of"),
        Operation::MmapExecute => ("mapped", "map"),
    }
}

/// The best name of the file that there is.
fn file(out: &mut Vec<u8>, event: &Event<'_>, names: &Names<'_>) {
    let header = event.access.header;
    if !names.path.is_empty() {
        out.extend_from_slice(names.path);
    } else if !names.requested.is_empty() {
        out.extend_from_slice(names.requested);
    } else if header.inode != 0 {
        out.extend_from_slice(b"inode ");
        out.extend_from_slice(decimal(&mut [0; 20], header.inode));
        out.extend_from_slice(b" of device ");
        device(out, header.device);
    } else {
        out.extend_from_slice(b"an unknown file");
    }
}

/// The errno's symbol, or its number where it has none.
pub(super) fn error(out: &mut Vec<u8>, errno: i32) {
    match errno::symbol(errno) {
        Some(symbol) => out.extend_from_slice(symbol.as_bytes()),
        None => out.extend_from_slice(decimal(&mut [0; 20], errno.unsigned_abs().into())),
    }
}

/// `8:1`. The kernel numbers devices by 12 bits of major and 20 of minor (`include/linux/kdev_t.h`).
pub(super) fn device(out: &mut Vec<u8>, device: u32) {
    out.extend_from_slice(decimal(&mut [0; 20], (device >> 20).into()));
    out.push(b':');
    out.extend_from_slice(decimal(&mut [0; 20], (device & 0xf_ffff).into()));
}
