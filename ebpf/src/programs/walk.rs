//! From {mount, dentry} to a path, without a lock and without ever copying a byte that is not the name's.

use core::ffi::c_void;
use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::helpers::generated::bpf_probe_read_kernel_str;
use inotrail_ebpf::{STRINGS_LIMIT, STRINGS_MAX, WALK_RETRIES, WALK_STEPS, flags};

use super::kernel::{at, read};
use super::record::{Scratch, count};

/// Appends the components of `{vfsmount, dentry}`, leaf first, each ended by NUL, up to the root of the mount namespace
/// and not of the task: what a chroot hides is part of the path.
#[inline(always)]
pub(super) unsafe fn walk(scratch: *mut Scratch, program: u32, vfsmount: u64, dentry: u64) {
    // SAFETY: the scratch is the caller's own; all kernel memory is read by probe reads.
    unsafe {
        let start = read_volatile(&raw const (*scratch).used);
        write_volatile(&raw mut (*scratch).dentry, dentry);
        write_volatile(&raw mut (*scratch).vfsmount, vfsmount);
        write_volatile(&raw mut (*scratch).mount, vfsmount - u64::from(at!(mount_mnt)));
        write_volatile(&raw mut (*scratch).retries, 0);
        (*scratch).header.flags |= flags::TRUNCATED;
        for _ in 0..WALK_STEPS {
            if !step(scratch) {
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
    }
}

/// One name, or one mount crossed; false where the walk ends.
#[inline(always)]
unsafe fn step(scratch: *mut Scratch) -> bool {
    // SAFETY: as in `walk`.
    unsafe {
        let dentry = read_volatile(&raw const (*scratch).dentry);
        let vfsmount = read_volatile(&raw const (*scratch).vfsmount);
        let sequence: u32 = read(dentry, at!(dentry_seq));
        let root: u64 = read(vfsmount, at!(vfsmount_root));
        let parent: u64 = read(dentry, at!(dentry_parent));
        if dentry == root || dentry == parent {
            return cross_mount(scratch);
        }
        let used = read_volatile(&raw const (*scratch).used) as usize;
        let length = read::<u32>(dentry, at!(dentry_name) + at!(qstr_len)) as usize & 0xff;
        if used + length >= STRINGS_LIMIT {
            return false;
        }
        let offset = used & (STRINGS_MAX - 1);
        if !copy_name(scratch, offset, dentry, length, sequence) {
            let retries = read_volatile(&raw const (*scratch).retries);
            write_volatile(&raw mut (*scratch).retries, retries + 1);
            if retries < u64::from(WALK_RETRIES) {
                return true;
            }
            (*scratch).header.flags ^= flags::TRUNCATED;
            (*scratch).header.flags |= flags::RACED;
            return false;
        }
        write_volatile(&raw mut (*scratch).used, (offset + length) as u64 + 1);
        write_volatile(&raw mut (*scratch).dentry, parent);
        true
    }
}

/// Goes on at the mount point; false at the root of the namespace, where the walk is complete.
#[inline(always)]
unsafe fn cross_mount(scratch: *mut Scratch) -> bool {
    // SAFETY: as in `walk`.
    unsafe {
        let mount = read_volatile(&raw const (*scratch).mount);
        let parent: u64 = read(mount, at!(mount_parent));
        if parent == mount || parent == 0 {
            (*scratch).header.flags &= !flags::TRUNCATED;
            if read::<u64>(mount, at!(mount_ns)) == 0 {
                (*scratch).header.flags |= flags::DETACHED;
            }
            return false;
        }
        write_volatile(&raw mut (*scratch).dentry, read(mount, at!(mount_mountpoint)));
        write_volatile(&raw mut (*scratch).mount, parent);
        write_volatile(&raw mut (*scratch).vfsmount, parent + u64::from(at!(mount_mnt)));
        true
    }
}

/// Copies one name behind two guards; false where a rename got between.
///
/// A rename changes the name's pointer, its length and the parent at different moments. A torn {pointer, length} would
/// copy foreign kernel memory into the record, so: `d_seq` must be even and the same before and after (it orders all
/// three), and the string helper must find the first NUL exactly at `length`. The second needs no memory order, which
/// matters on arm64 where probe reads are not ordered, and never copies past a NUL.
#[inline(always)]
unsafe fn copy_name(scratch: *mut Scratch, offset: usize, dentry: u64, length: usize, sequence: u32) -> bool {
    // SAFETY: `offset` is below STRINGS_MAX and the buffer has room for a longest name behind that.
    unsafe {
        let name: u64 = read(dentry, at!(dentry_name) + at!(qstr_name));
        let target = (&raw mut (*scratch).strings).cast::<u8>().add(offset);
        let copied = bpf_probe_read_kernel_str(target.cast::<c_void>(), length as u32 + 2, name as *const c_void);
        copied == length as i64 + 1 && sequence & 1 == 0 && read::<u32>(dentry, at!(dentry_seq)) == sequence
    }
}
