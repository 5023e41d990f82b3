//! Counting an access that equals one that user space has told just now.

use core::intrinsics::{AtomicOrdering, atomic_xadd};
use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::macros::map;
use aya_ebpf::maps::Array;
use inotrail_ebpf::{Header, REPEAT_PROBES, REPEAT_SLOTS, REPEAT_STRINGS, RepeatSlot, STRINGS_MAX, kind};

use super::kernel::{at, read};
use super::record::{Scratch, current, scratch_of};
use super::scope::{aggregates, secret};

/// `BPF_F_MMAPABLE`
#[map]
static REPEATS: Array<RepeatSlot> = Array::with_max_entries(REPEAT_SLOTS, 1 << 10);

/// Whether the record was counted instead. Gives it the number by which user space may ask for that.
#[inline(always)]
pub(super) fn is_repeat(scratch: *mut Scratch, program: u32) -> bool {
    // SAFETY: this program's scratch.
    let kind = unsafe { (*scratch).header.kind };
    // The record of an exec is what a process's executable is known by.
    kind == kind::ACCESS && aggregates() && count_repeat(program) != 0
}

/// A global function, as the walk's step is: the verifier looks at it once.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn count_repeat(program: u32) -> u64 {
    let Some(scratch) = scratch_of(program) else { return 0 };
    // SAFETY: the caller's own scratch.
    unsafe {
        let identity = identity(scratch);
        (*scratch).header.identity = identity;
        u64::from(identity != 0 && counts(&(*scratch).header, identity))
    }
}

#[inline(always)]
unsafe fn counts(header: &Header, identity: u64) -> bool {
    for probe in 0..REPEAT_PROBES {
        let index = (identity as u32).wrapping_add(probe) & (REPEAT_SLOTS - 1);
        let Some(slot) = REPEATS.get_ptr_mut(index) else { return false };
        // SAFETY: the map's value; each number is read and written for itself.
        unsafe {
            if read_volatile(&raw const (*slot).identity) != identity {
                continue;
            }
            if header.time_ns >= read_volatile(&raw const (*slot).until_ns) {
                return false;
            }
            // Before the access itself: whoever sees it counted sees that its process came.
            if read_volatile(&raw const (*slot).tgid) != header.tgid {
                write_volatile(&raw mut (*slot).tgid, header.tgid);
                atomic_xadd::<u32, u32, { AtomicOrdering::Relaxed }>(&raw mut (*slot).changes, 1);
            }
            atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(&raw mut (*slot).count, 1);
            if read_volatile(&raw const (*slot).first_ns) == 0 {
                write_volatile(&raw mut (*slot).first_ns, header.time_ns);
            }
            write_volatile(&raw mut (*slot).last_ns, header.time_ns);
        }
        return true;
    }
    false
}

/// A keyed hash (`SipHash`-1-3) of all that policies judge and events tell, but for the time and the process: who knows the key
/// could make two paths that count as one. 0: it can be no repeat.
#[inline(always)]
unsafe fn identity(scratch: *mut Scratch) -> u64 {
    // SAFETY: the caller's scratch.
    let (header, used) = unsafe { (&(*scratch).header, read_volatile(&raw const (*scratch).used) as usize) };
    if used > REPEAT_STRINGS {
        return 0;
    }
    let (path, inode, device) = executable();
    let mut hash = Sip::new(secret());
    hash.word(header.cgroup_id);
    hash.word(header.inode);
    hash.word(pair(header.device, header.mask));
    hash.word(pair(header.result as u32, header.open_flags));
    hash.word(pair(header.flags, header.confidence));
    hash.word(pair(header.uid, header.euid));
    hash.word(pair(header.gid, header.mode.into()));
    hash.word(pair(header.requested_len.into(), u32::from(header.path_len) << 16 | u32::from(header.target_len)));
    hash.word(path);
    hash.word(inode);
    hash.word(device);
    // SAFETY: `strings` is aligned, and longer than what is read.
    unsafe { strings(&mut hash, scratch, used) };
    hash.end(used as u64) | 1
}

#[inline(always)]
unsafe fn strings(hash: &mut Sip, scratch: *const Scratch, used: usize) {
    for word in 0..REPEAT_STRINGS / 8 {
        let start = word * 8;
        if start >= used {
            break;
        }
        // SAFETY: the caller's.
        let bytes =
            unsafe { read_volatile((&raw const (*scratch).strings).cast::<u64>().add(word & (STRINGS_MAX / 8 - 1))) };
        let left = used - start;
        hash.word(if left >= 8 { bytes } else { bytes & (u64::MAX >> (64 - 8 * left as u32)) });
    }
}

#[inline(always)]
fn pair(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

/// What tells the task's executable from others: its dentry, its inode and its device.
#[inline(always)]
fn executable() -> (u64, u64, u64) {
    let memory: u64 = read(current(), at!(task_mm));
    let file: u64 = read(memory, at!(mm_exe_file));
    let inode: u64 = read(file, at!(file_inode));
    let dentry: u64 = read(file.wrapping_add(u64::from(at!(file_path))), at!(path_dentry));
    let device: u32 = read(read(inode, at!(inode_sb)), at!(sb_dev));
    (dentry, read(inode, at!(inode_ino)), device.into())
}

/// `SipHash` (Aumasson, Bernstein 2012) of 64-bit words, with one round for a word and three at the end.
struct Sip([u64; 4]);

impl Sip {
    #[inline(always)]
    fn new(key: [u64; 2]) -> Self {
        Self([
            key[0] ^ 0x736f_6d65_7073_6575,
            key[1] ^ 0x646f_7261_6e64_6f6d,
            key[0] ^ 0x6c79_6765_6e65_7261,
            key[1] ^ 0x7465_6462_7974_6573,
        ])
    }

    #[inline(always)]
    fn round(&mut self) {
        let [a, b, c, d] = &mut self.0;
        *a = a.wrapping_add(*b);
        *c = c.wrapping_add(*d);
        *b = b.rotate_left(13) ^ *a;
        *d = d.rotate_left(16) ^ *c;
        *a = a.rotate_left(32).wrapping_add(*d);
        *c = c.wrapping_add(*b);
        *d = d.rotate_left(21) ^ *a;
        *b = b.rotate_left(17) ^ *c;
        *c = c.rotate_left(32);
    }

    #[inline(always)]
    fn word(&mut self, word: u64) {
        self.0[3] ^= word;
        self.round();
        self.0[0] ^= word;
    }

    #[inline(always)]
    fn end(mut self, length: u64) -> u64 {
        self.word(length << 56);
        self.0[2] ^= 0xff;
        self.round();
        self.round();
        self.round();
        self.0[0] ^ self.0[1] ^ self.0[2] ^ self.0[3]
    }
}
