//! Whether a rule may be about an access: by what is done, the names on the file's path, or the file itself.
//!
//! Whatever cannot be told here passes: a path that is not known to its end, and one that was asked for under another name
//! than its own (a symbolic link on the way, or a root of its own), which user space judges too.

use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap};
use inotrail_ebpf::filter::{
    FILTER_ENTRIES, FILTERS_MAX, FileKey, Filter, NAME_BYTES, NameKey, SUFFIX_BYTES, hint, name, operation,
};
use inotrail_ebpf::{Header, STRINGS_MAX, flags, mask, mutation, scope};

use super::record::Scratch;

/// `BPF_F_MMAPABLE`
#[map]
static FILTERS: Array<Filter> = Array::with_max_entries(FILTERS_MAX, 1 << 10);
#[map]
static NAMES: HashMap<NameKey, u32> = HashMap::with_max_entries(FILTER_ENTRIES, 0);
#[map]
static FILES: HashMap<FileKey, u32> = HashMap::with_max_entries(FILTER_ENTRIES, 0);

/// The path was not asked for by an absolute path.
const NO_REQUEST: u64 = u64::MAX;

/// How far a record is through the filter, in the program's scratch.
#[repr(C)]
pub(super) struct Sieve {
    verdict: u64,
    number: u64,
    operation: u64,
    is_leaf: u64,
    /// Bytes of the requested path that its own names have not accounted for yet, from the end.
    rest: u64,
}

mod verdict {
    pub(super) const PASS: u64 = 0;
    pub(super) const OPEN: u64 = 1;
    pub(super) const DROP: u64 = 2;
}

/// Of a record that is to pass.
#[inline(always)]
pub(super) unsafe fn pass(scratch: *mut Scratch) {
    // SAFETY: the caller's scratch.
    unsafe { write_volatile(&raw mut (*scratch).sieve.verdict, verdict::PASS) };
}

/// Of a record in a cgroup of this scope.
#[inline(always)]
pub(super) unsafe fn set(scratch: *mut Scratch, scope: u32) {
    if scope >= scope::FILTERED {
        // SAFETY: the caller's scratch.
        unsafe {
            write_volatile(&raw mut (*scratch).sieve.verdict, verdict::OPEN);
            write_volatile(&raw mut (*scratch).sieve.number, u64::from(scope - scope::FILTERED));
        }
    }
}

/// Whether such an operation may pass with any file at all.
#[inline(always)]
pub(super) fn wants(scope: u32, bits: u32) -> bool {
    if scope < scope::FILTERED {
        return true;
    }
    // SAFETY: one number of the map's value, which user space changes.
    let any = FILTERS.get_ptr(scope - scope::FILTERED).map(|filter| unsafe { read_volatile(&raw const (*filter).any) });
    any.is_none_or(|any| any & operation(bits) != 0)
}

/// Before a walk; false: no path makes it pass.
#[inline(always)]
pub(super) unsafe fn start(scratch: *mut Scratch) -> bool {
    // SAFETY: the caller's scratch, and numbers of the map's value, which user space changes.
    unsafe {
        let sieve = &raw mut (*scratch).sieve;
        if read_volatile(&raw const (*sieve).verdict) == verdict::PASS {
            return true;
        }
        let Some(filter) = FILTERS.get_ptr(read_volatile(&raw const (*sieve).number) as u32) else {
            pass(scratch);
            return true;
        };
        let operation = operation(read_volatile(&raw const (*scratch).header.mask));
        if read_volatile(&raw const (*filter).any) & operation == 0 {
            write_volatile(&raw mut (*sieve).verdict, verdict::DROP);
            return false;
        }
        if read_volatile(&raw const (*filter).every) & operation != 0 {
            pass(scratch);
        }
        let requested = read_volatile(&raw const (*scratch).header.requested_len);
        let absolute = requested > 0 && read_volatile((&raw const (*scratch).strings).cast::<u8>()) == b'/';
        write_volatile(&raw mut (*sieve).operation, u64::from(operation));
        write_volatile(&raw mut (*sieve).is_leaf, 1);
        write_volatile(&raw mut (*sieve).rest, if absolute { u64::from(requested) } else { NO_REQUEST });
    }
    true
}

/// One name of the path, which stands in the scratch; leaf first.
#[inline(always)]
pub(super) unsafe fn step(scratch: *mut Scratch, offset: usize, length: usize) {
    // SAFETY: the caller's scratch; `offset` is below STRINGS_MAX.
    unsafe {
        let sieve = &raw mut (*scratch).sieve;
        if read_volatile(&raw const (*sieve).verdict) != verdict::OPEN {
            return;
        }
        let is_leaf = read_volatile(&raw const (*sieve).is_leaf) != 0;
        write_volatile(&raw mut (*sieve).is_leaf, 0);
        let name = words(scratch, offset, length);
        let kind = if is_leaf { name::LEAF } else { name::FOLDER };
        if !is_requested(scratch, &name, length) || has(scratch, kind, name) {
            pass(scratch);
        } else if is_leaf && length >= SUFFIX_BYTES {
            let end = (offset + length - SUFFIX_BYTES) & (STRINGS_MAX - 1);
            if has(scratch, name::SUFFIX, words(scratch, end, SUFFIX_BYTES)) {
                pass(scratch);
            }
        }
    }
}

/// Whether the requested path, as far as it is not accounted for, may end with this name; accounts for that.
#[inline(always)]
unsafe fn is_requested(scratch: *mut Scratch, name: &[u64; NAME_BYTES / 8], length: usize) -> bool {
    // SAFETY: the caller's scratch; offsets are below STRINGS_MAX.
    unsafe {
        let rest = read_volatile(&raw const (*scratch).sieve.rest);
        if rest == NO_REQUEST {
            return true;
        }
        // A longer name does not fit into a key, which would be equal to others'.
        if length >= NAME_BYTES || rest <= length as u64 {
            return false;
        }
        let start = (rest as usize - length) & (STRINGS_MAX - 1);
        let slash = read_volatile((&raw const (*scratch).strings).cast::<u8>().add((start - 1) & (STRINGS_MAX - 1)));
        write_volatile(&raw mut (*scratch).sieve.rest, start as u64 - 1);
        slash == b'/' && is_same(words(scratch, start, length), *name)
    }
}

/// Word by word: the operator would be a call that compares bytes.
#[inline(always)]
fn is_same(one: [u64; NAME_BYTES / 8], other: [u64; NAME_BYTES / 8]) -> bool {
    (one[0] ^ other[0]) | (one[1] ^ other[1]) | (one[2] ^ other[2]) | (one[3] ^ other[3]) == 0
}

/// After a walk.
#[inline(always)]
pub(super) unsafe fn end(scratch: *mut Scratch) {
    // SAFETY: the caller's scratch.
    unsafe {
        let rest = read_volatile(&raw const (*scratch).sieve.rest);
        let cut = flags::TRUNCATED | flags::RACED | flags::DETACHED;
        let is_open = read_volatile(&raw const (*scratch).sieve.verdict) == verdict::OPEN;
        if is_open && ((*scratch).header.flags & cut != 0 || (rest != NO_REQUEST && rest != 0)) {
            pass(scratch);
        }
    }
}

/// Whether the record passes.
#[inline(always)]
pub(super) unsafe fn passes(scratch: *const Scratch) -> bool {
    // SAFETY: the caller's scratch.
    unsafe {
        match read_volatile(&raw const (*scratch).sieve.verdict) {
            verdict::PASS => return true,
            verdict::DROP => return false,
            _ => {}
        }
        let Header { flags: known, mask: bits, device, inode, .. } = (*scratch).header;
        // The text of a symbolic link is judged as it stands.
        if known & (flags::PATH_UNKNOWN | flags::BASE) != 0 || bits == mutation::SYMLINK << mask::MUTATION_SHIFT {
            return true;
        }
        FILES.get_ptr(&FileKey { inode, device, reserved: 0 }).is_some()
    }
}

/// Whether the filter has a name for what is done.
#[inline(always)]
unsafe fn has(scratch: *const Scratch, kind: u32, name: [u64; NAME_BYTES / 8]) -> bool {
    // SAFETY: the caller's scratch, and numbers of maps' values that are read once.
    unsafe {
        let sieve = &raw const (*scratch).sieve;
        let number = read_volatile(&raw const (*sieve).number) as u32;
        let Some(filter) = FILTERS.get_ptr(number) else { return true };
        let (word, bit) = hint(kind, &name);
        let hints = read_volatile((&raw const (*filter).hints).cast::<u64>().add(word));
        if hints >> bit & 1 == 0 {
            return false;
        }
        let operation = read_volatile(&raw const (*sieve).operation) as u32;
        let found = NAMES.get_ptr(&NameKey { filter: number, kind, name });
        found.is_some_and(|operations| read_volatile(operations) & operation != 0)
    }
}

/// So many bytes of the scratch from an offset below [`STRINGS_MAX`], padded with NULs, and cut so that one is left.
#[inline(always)]
unsafe fn words(scratch: *const Scratch, offset: usize, length: usize) -> [u64; NAME_BYTES / 8] {
    let length = if length < NAME_BYTES { length } else { NAME_BYTES - 1 };
    let mut words = [0u64; NAME_BYTES / 8];
    // Most names end in the first word.
    for (number, word) in words.iter_mut().enumerate() {
        let start = number * 8;
        if length <= start {
            break;
        }
        // SAFETY: the caller's scratch.
        *word = unsafe { eight(scratch, offset + start) } & first(length - start);
    }
    words
}

/// Eight bytes of the scratch, of two loads of aligned words: the verifier takes no others everywhere.
#[inline(always)]
unsafe fn eight(scratch: *const Scratch, offset: usize) -> u64 {
    let shift = (offset as u32 & 7) * 8;
    // SAFETY: `strings` is aligned, and goes on behind STRINGS_MAX.
    unsafe {
        let word = (&raw const (*scratch).strings).cast::<u64>().add(offset / 8 & (STRINGS_MAX / 8 - 1));
        let (low, high) = (read_volatile(word), read_volatile(word.add(1)));
        low >> shift | high << 1 << (63 - shift)
    }
}

/// The first so many bytes of a word, of which there is one at least, in memory order.
#[inline(always)]
fn first(bytes: usize) -> u64 {
    if bytes >= 8 { u64::MAX } else { u64::MAX >> ((64 - 8 * bytes as u32) & 63) }
}
