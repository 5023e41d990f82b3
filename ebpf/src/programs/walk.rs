//! From {mount, dentry} to a path, without a lock and without ever copying a byte that is not the name's.

use core::ffi::c_void;
use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::helpers::generated::bpf_probe_read_kernel_str;
use inotrail_ebpf::{ABSENT, ENTRY_WORDS, STRINGS_LIMIT, STRINGS_MAX, WALK_RETRIES, WALK_STEPS, flags};

use super::filter;
use super::kernel::{at, read};
use super::record::{Scratch, count, scratch_of};

/// From here on a pointer is an error (`MAX_ERRNO`, include/linux/err.h).
const ERRORS: u64 = -4095i64 as u64;
/// `MNT_NS_ANON_INO` (include/uapi/linux/nsfs.h, since 6.18; before, such a namespace has no number).
const ANONYMOUS: u32 = 0xefff_fff7;

/// Appends the components of `{vfsmount, dentry}`, leaf first, each ended by NUL, up to the root of the mount namespace
/// and not of the task: what a chroot hides is part of the path.
#[inline(always)]
pub(super) unsafe fn walk(scratch: *mut Scratch, program: u32, vfsmount: u64, dentry: u64) {
    // SAFETY: the scratch is the caller's own; all kernel memory is read by probe reads.
    unsafe {
        if !filter::start(scratch) {
            return;
        }
        let start = read_volatile(&raw const (*scratch).used);
        write_volatile(&raw mut (*scratch).dentry, dentry);
        write_volatile(&raw mut (*scratch).mount, vfsmount - u64::from(at!(mount_mnt)));
        write_volatile(&raw mut (*scratch).root, read(vfsmount, at!(vfsmount_root)));
        write_volatile(&raw mut (*scratch).retries, 0);
        (*scratch).header.flags |= flags::TRUNCATED;
        for _ in 0..WALK_STEPS {
            if walk_step(program) == 0 {
                break;
            }
        }
        if (*scratch).header.flags & flags::TRUNCATED != 0 {
            count(program, |counters| &mut counters.truncated);
        }
        if (*scratch).header.flags & flags::RACED != 0 {
            count(program, |counters| &mut counters.raced);
        }
        (*scratch).header.retries += read_volatile(&raw const (*scratch).retries) as u16;
        (*scratch).header.path_len = (read_volatile(&raw const (*scratch).used) - start) as u16;
        filter::end(scratch);
    }
}

/// One step of a program's walk; 0 where the walk ends.
///
/// A global function: the verifier looks at it once, by itself, and not again for each of the steps that a walk may have,
/// which took nine tenths of the time of a load. It takes numbers alone, because before 5.12 such a function may.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn walk_step(program: u32) -> u64 {
    let Some(scratch) = scratch_of(program) else { return 0 };
    // SAFETY: the caller's own scratch.
    u64::from(unsafe { step(scratch) })
}

/// One name, or one mount crossed; false where the walk ends.
#[inline(always)]
unsafe fn step(scratch: *mut Scratch) -> bool {
    // SAFETY: as in `walk`; `offset` is below STRINGS_MAX.
    unsafe {
        let dentry = read_volatile(&raw const (*scratch).dentry);
        if dentry == read_volatile(&raw const (*scratch).root) {
            return cross_mount(scratch);
        }
        let Entry { sequence, parent, name, length } = Entry::of(dentry);
        let used = read_volatile(&raw const (*scratch).used) as usize;
        if used + length >= STRINGS_LIMIT {
            return false;
        }
        let offset = used & (STRINGS_MAX - 1);
        if !copy_name(scratch, offset, name, length)
            || sequence & 1 != 0
            || read::<u32>(dentry, at!(dentry_seq)) != sequence
        {
            return retry(scratch);
        }
        let is_top = dentry == parent;
        // The top of a file system that is not the mount's: its name is "/". A file in memory has a name and no parent.
        let is_slash = read_volatile((&raw const (*scratch).strings).cast::<u8>().add(offset)) == b'/';
        if !is_top || !is_slash {
            filter::step(scratch, offset, length);
            write_volatile(&raw mut (*scratch).used, (offset + length) as u64 + 1);
        }
        if is_top {
            return end(scratch, flags::DETACHED);
        }
        write_volatile(&raw mut (*scratch).dentry, parent);
        true
    }
}

/// Goes on at the mount point; false at the root of the namespace, where the walk is complete.
///
/// A mount that is moved changes its parent, its mount point and `mnt_mp` one after another (`mnt_set_mountpoint`,
/// fs/namespace.c), and for a moment it is its own parent, like a root.
#[inline(always)]
unsafe fn cross_mount(scratch: *mut Scratch) -> bool {
    // SAFETY: as in `walk`.
    unsafe {
        let mount = read_volatile(&raw const (*scratch).mount);
        let parent: u64 = read(mount, at!(mount_parent));
        let namespace: u64 = read(mount, at!(mount_ns));
        if parent == mount || parent == 0 {
            if namespace == 0 || is_internal(namespace) {
                return end(scratch, flags::DETACHED);
            }
            if at!(namespace_root) != ABSENT && read::<u64>(namespace, at!(namespace_root)) != mount {
                return retry(scratch);
            }
            return end(scratch, if is_anonymous(namespace) { flags::DETACHED } else { 0 });
        }
        let mountpoint: u64 = read(mount, at!(mount_mountpoint));
        let point: u64 = read(mount, at!(mount_point));
        let known = at!(mount_point) != ABSENT && at!(mountpoint_dentry) != ABSENT;
        let is_torn = known && read::<u64>(point, at!(mountpoint_dentry)) != mountpoint;
        if is_torn || read::<u64>(mount, at!(mount_parent)) != parent {
            return retry(scratch);
        }
        write_volatile(&raw mut (*scratch).dentry, mountpoint);
        write_volatile(&raw mut (*scratch).mount, parent);
        write_volatile(&raw mut (*scratch).root, read(parent + u64::from(at!(mount_mnt)), at!(vfsmount_root)));
        true
    }
}

/// `MNT_NS_INTERNAL`, an error pointer: a mount of the kernel's own.
#[inline(always)]
fn is_internal(namespace: u64) -> bool {
    namespace >= ERRORS
}

/// Whether a namespace holds a tree that is mounted nowhere (open_tree(2), fsmount(2)).
#[inline(always)]
fn is_anonymous(namespace: u64) -> bool {
    let inum = if at!(namespace_inum) == ABSENT { u32::MAX } else { read(namespace, at!(namespace_inum)) };
    inum == 0 || inum == ANONYMOUS
}

/// The walk is complete.
#[inline(always)]
unsafe fn end(scratch: *mut Scratch, bits: u32) -> bool {
    // SAFETY: the caller's scratch.
    unsafe { (*scratch).header.flags = (*scratch).header.flags & !flags::TRUNCATED | bits };
    false
}

/// Reads the same once more, unless that was done too often.
#[inline(always)]
unsafe fn retry(scratch: *mut Scratch) -> bool {
    // SAFETY: the caller's scratch.
    unsafe {
        let retries = read_volatile(&raw const (*scratch).retries);
        write_volatile(&raw mut (*scratch).retries, retries + 1);
        retries < u64::from(WALK_RETRIES) || end(scratch, flags::RACED)
    }
}

/// What a dentry tells of its place.
struct Entry {
    sequence: u32,
    parent: u64,
    name: u64,
    /// Bytes of the name, below 256.
    length: usize,
}

impl Entry {
    /// By one read, from the lowest address on, where that is how they lie.
    #[inline(always)]
    fn of(dentry: u64) -> Self {
        let (parent, name) = (at!(dentry_parent), at!(dentry_name) + at!(qstr_name));
        let length = at!(dentry_name) + at!(qstr_len);
        let start = at!(dentry_words);
        if start == ABSENT {
            return Self {
                sequence: read(dentry, at!(dentry_seq)),
                parent: read(dentry, parent),
                name: read(dentry, name),
                length: read::<u32>(dentry, length) as usize & 0xff,
            };
        }
        let words: [u64; ENTRY_WORDS as usize] = read(dentry, start);
        let words = (&raw const words).cast::<u8>();
        // SAFETY: inside of the words, and as aligned there as in the kernel's structure.
        unsafe {
            Self {
                sequence: read_volatile(words.add((at!(dentry_seq) - start) as usize).cast()),
                parent: read_volatile(words.add((parent - start) as usize).cast()),
                name: read_volatile(words.add((name - start) as usize).cast()),
                length: read_volatile(words.add((length - start) as usize).cast::<u32>()) as usize & 0xff,
            }
        }
    }
}

/// Copies one name behind the second of two guards; false where a rename got between.
///
/// A rename changes the name's pointer, its length and the parent at different moments. A torn {pointer, length} would
/// copy foreign kernel memory into the record, so: `d_seq` must be even and the same before and after (it orders all
/// three), and the string helper must find the first NUL exactly at `length`. The second needs no memory order, which
/// matters on arm64 where probe reads are not ordered, and never copies past a NUL.
#[inline(always)]
unsafe fn copy_name(scratch: *mut Scratch, offset: usize, name: u64, length: usize) -> bool {
    // SAFETY: `offset` is below STRINGS_MAX and the buffer has room for a longest name behind that.
    unsafe {
        let target = (&raw mut (*scratch).strings).cast::<u8>().add(offset);
        let copied = bpf_probe_read_kernel_str(target.cast::<c_void>(), length as u32 + 2, name as *const c_void);
        copied == length as i64 + 1
    }
}
