//! What holds for every record, whatever it tells.

use anyhow::{Result, ensure};
use inotrail::sensor::Record;
use inotrail_ebpf::{ARGUMENTS_MAX, Header, REQUESTED_MAX, STRINGS_LIMIT, WALK_RETRIES, flags, kind, mask};

/// Every flag there is.
const FLAGS: u32 = flags::TRUNCATED
    | flags::RACED
    | flags::DETACHED
    | flags::UNLINKED
    | flags::COMPAT
    | flags::BASE
    | flags::UNREADABLE
    | flags::PATH_UNKNOWN
    | flags::IO_URING
    | flags::O_PATH
    | flags::MOUNT_UNKNOWN
    | flags::EXCHANGED
    | (flags::TRUNCATED | flags::RACED | flags::DETACHED) << flags::TARGET_SHIFT;
/// Every bit that a check may be made for, `MAY_ACCESS` to `MAY_NOT_BLOCK` too (include/linux/fs.h).
const MASK: u32 = 0xff | mask::CREATED | mask::MUTATION;
/// `PID_MAX_LIMIT` (include/linux/threads.h).
const PID_MAX: u32 = 4 << 20;
/// Longest name of a file (`NAME_MAX`).
const NAME_MAX: usize = 255;

/// Checks that no byte of a record is anything but what its field is for: what a kernel's memory holds besides would be
/// given away by it.
///
/// # Errors
/// Names the field.
pub(super) fn check(record: &Record<'_>) -> Result<()> {
    let header = record.header();
    check_header(header)?;
    match record {
        Record::Access(access) | Record::Exec(access) => {
            ensure!(!access.requested.contains(&0), "a NUL in the request {}", access.requested.escape_ascii());
            let whole = access.arguments.is_empty() || access.arguments.ends_with(&[0]);
            ensure!(
                whole || access.arguments.len() == ARGUMENTS_MAX - 1,
                "arguments {}",
                access.arguments.escape_ascii()
            );
            let names = access.path.split(|byte| *byte == b'/');
            ensure!(names.into_iter().all(|name| name.len() <= NAME_MAX || is_request(access.header)), "a long name");
            for path in [access.path, access.target] {
                ensure!(!path.contains(&0), "a NUL in the path {}", path.escape_ascii());
            }
        }
        _ => ensure!(header.arguments_len == 0 && header.path_len == 0, "strings that its kind has not: {header:?}"),
    }
    Ok(())
}

/// Whether the path ends in what the caller wrote, which may be anything.
fn is_request(header: &Header) -> bool {
    header.flags & flags::BASE != 0
}

fn check_header(header: &Header) -> Result<()> {
    ensure!(header.target_len == 0 || header.mask & mask::MUTATION != 0, "a second path of no mutation: {header:?}");
    ensure!(header.mask & mask::MUTATION == 0 || header.kind == kind::ACCESS, "a mutation of no access: {header:?}");
    let padding = header.comm.iter().skip_while(|byte| **byte != 0);
    ensure!(padding.clone().count() > 0, "comm without an end: {}", header.comm.escape_ascii());
    ensure!(padding.clone().all(|byte| *byte == 0), "comm's padding: {}", header.comm.escape_ascii());
    ensure!(header.flags & !FLAGS == 0, "unknown flags {:#x}", header.flags);
    ensure!(header.mask & !MASK == 0, "unknown mask {:#x}", header.mask);
    ensure!(u32::from(header.retries) <= 2 * (WALK_RETRIES + 1), "{} retries", header.retries);
    ensure!(usize::from(header.requested_len) < REQUESTED_MAX, "a request of {} bytes", header.requested_len);
    ensure!(usize::from(header.arguments_len) < ARGUMENTS_MAX, "arguments of {} bytes", header.arguments_len);
    ensure!(usize::from(header.path_len) <= STRINGS_LIMIT + NAME_MAX, "a path of {} bytes", header.path_len);
    if matches!(header.kind, kind::FORK | kind::EXIT) {
        let rest = (header.inode, header.flags, header.mask, header.mode, header.retries);
        ensure!(rest == (0, 0, 0, 0, 0) && header.requested_len == 0, "fields that its kind has not: {header:?}");
        // A fork's is an id in a PID namespace; every kernel that is tested on tells it.
        let is_pid = header.kind == kind::FORK && (1..=PID_MAX).contains(&header.device);
        ensure!(is_pid || (header.kind == kind::EXIT && header.device == 0), "a device of no file: {header:?}");
    }
    Ok(())
}
