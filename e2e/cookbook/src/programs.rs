//! File audit by kprobe as tutorials, tools and audit programs publish it, in four forms. Written anew from their common
//! traits: a record of fixed size is reserved in the ring and filled by helpers and probe reads, submitted with the default
//! flags (the kernel wakes the reader when it has caught up), and one hash or the reader itself decides what was wanted.

use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::ptr::read_volatile;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::BPF_RB_NO_WAKEUP;
use aya_ebpf::helpers::generated::{
    bpf_get_current_comm, bpf_probe_read_kernel, bpf_probe_read_kernel_str, bpf_probe_read_user_str,
};
use aya_ebpf::helpers::{
    bpf_get_current_cgroup_id, bpf_get_current_pid_tgid, bpf_get_current_uid_gid, bpf_ktime_get_ns,
};
use aya_ebpf::macros::{fexit, kprobe, kretprobe, map, raw_tracepoint};
use aya_ebpf::maps::{HashMap, RingBuf};
use aya_ebpf::programs::{FExitContext, ProbeContext, RawTracePointContext, RetProbeContext};
use cookbook::{NAME_BYTES, NAMES, PathRecord, Record};

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

/// As large as ours, so that neither is favoured.
#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(16 << 20, 0);
#[map]
static INODES: HashMap<Inode, u32> = HashMap::with_max_entries(4096, 0);
#[map]
static CGROUPS: HashMap<u64, u32> = HashMap::with_max_entries(4096, 0);
#[map]
static PENDING: HashMap<u64, Pending> = HashMap::with_max_entries(10240, 0);

/// Inode number and `super_block.s_dev`.
type Inode = [u64; 2];

/// An open that has not returned.
#[derive(Clone, Copy)]
#[repr(C)]
struct Pending {
    name: u64,
    comm: [u8; 16],
}

// Where C programs have relocations by BTF: to the verifier and at run time the same constants.
#[unsafe(no_mangle)]
static INODE_NUMBER: u32 = 0;
#[unsafe(no_mangle)]
static INODE_SUPER: u32 = 0;
#[unsafe(no_mangle)]
static SUPER_DEVICE: u32 = 0;
#[unsafe(no_mangle)]
static INODE_DENTRIES: u32 = 0;
#[unsafe(no_mangle)]
static DENTRY_ALIAS: u32 = 0;
#[unsafe(no_mangle)]
static DENTRY_PARENT: u32 = 0;
#[unsafe(no_mangle)]
static DENTRY_NAME: u32 = 0;
#[unsafe(no_mangle)]
static CALL: u32 = 0;

/// `MAY_OPEN`
const MAY_OPEN: u32 = 0x20;

/// `BPF_CORE_READ` of one member.
#[inline(always)]
fn read<T: Copy + Default>(base: u64, offset: &'static u32) -> T {
    let mut value = T::default();
    // SAFETY: the helper writes size_of::<T>() bytes of a number; the offset is read volatile because the loader sets it.
    unsafe {
        let source = base.wrapping_add(u64::from(read_volatile(offset)));
        bpf_probe_read_kernel((&raw mut value).cast::<c_void>(), size_of::<T>() as u32, source as *const c_void);
    }
    value
}

#[inline(always)]
fn identity(inode: u64) -> Inode {
    let number = read(inode, &INODE_NUMBER);
    let device: u32 = read(read(inode, &INODE_SUPER), &SUPER_DEVICE);
    [number, u64::from(device)]
}

/// Sends a record of the current task; `name` is an address in its memory, or 0.
#[inline(always)]
fn send(inode: Inode, mask: u32, name: u64, wakeup: u32) {
    let Some(mut entry) = EVENTS.reserve::<Record>(0) else { return };
    // SAFETY: the reservation is as long as the record.
    unsafe { fill(entry.as_mut_ptr(), inode, mask, name) };
    entry.submit(wakeup.into());
}

#[inline(always)]
unsafe fn fill(record: *mut Record, inode: Inode, mask: u32, name: u64) {
    // SAFETY: the caller's record; helpers write no more than the field they are given.
    unsafe {
        let (process, user) = (bpf_get_current_pid_tgid(), bpf_get_current_uid_gid());
        (*record).time_ns = bpf_ktime_get_ns();
        (*record).cgroup_id = bpf_get_current_cgroup_id();
        (*record).inode = inode[0];
        (*record).device = inode[1] as u32;
        (*record).mask = mask;
        (*record).pid = (process >> 32) as u32;
        (*record).tid = process as u32;
        (*record).uid = user as u32;
        (*record).gid = (user >> 32) as u32;
        bpf_get_current_comm((&raw mut (*record).comm).cast::<c_void>(), 16);
        (&raw mut (*record).name).cast::<u8>().write(0);
        if name != 0 {
            bpf_probe_read_user_str((&raw mut (*record).name).cast::<c_void>(), 48, name as *const c_void);
        }
    }
}

/// Sends a record with the names from the inode's first dentry up to the root of its file system.
#[inline(always)]
fn send_path(inode: u64, mask: u32) {
    let Some(mut entry) = EVENTS.reserve::<PathRecord>(0) else { return };
    let sent = entry.as_mut_ptr();
    // SAFETY: the reservation is as long as the record; helpers write no more than a name.
    unsafe {
        fill(&raw mut (*sent).record, identity(inode), mask, 0);
        let first: u64 = read(inode, &INODE_DENTRIES);
        let mut dentry = first.wrapping_sub(u64::from(read_volatile(&raw const DENTRY_ALIAS)));
        for number in 0..NAMES {
            let name = (&raw mut (*sent).names).cast::<[u8; NAME_BYTES]>().add(number);
            let parent: u64 = read(dentry, &DENTRY_PARENT);
            if parent == dentry {
                name.cast::<u8>().write(0);
                break;
            }
            let text: u64 = read(dentry, &DENTRY_NAME);
            bpf_probe_read_kernel_str(name.cast::<c_void>(), NAME_BYTES as u32, text as *const c_void);
            dentry = parent;
        }
    }
    entry.submit(0);
}

// `permission_all`: every permission check becomes a record, and the reader drops those of other cgroups.

/// `inode_permission(inode, mask)`: before 5.12.
#[kprobe]
pub(crate) fn permission_all_2(ctx: ProbeContext) -> u32 {
    send(identity(ctx.arg(0).unwrap_or(0)), ctx.arg(1).unwrap_or(0), 0, 0);
    0
}

/// `inode_permission(idmap, inode, mask)`: since 5.12.
#[kprobe]
pub(crate) fn permission_all_3(ctx: ProbeContext) -> u32 {
    send(identity(ctx.arg(1).unwrap_or(0)), ctx.arg(2).unwrap_or(0), 0, 0);
    0
}

// The same with the path, and for opens alone.

#[inline(always)]
fn opens(inode: u64, mask: u32) {
    if mask & MAY_OPEN != 0 {
        send_path(inode, mask);
    }
}

/// As `permission_all_2`, with the path.
#[kprobe]
pub(crate) fn permission_paths_2(ctx: ProbeContext) -> u32 {
    send_path(ctx.arg(0).unwrap_or(0), ctx.arg(1).unwrap_or(0));
    0
}

/// The same, since 5.12.
#[kprobe]
pub(crate) fn permission_paths_3(ctx: ProbeContext) -> u32 {
    send_path(ctx.arg(1).unwrap_or(0), ctx.arg(2).unwrap_or(0));
    0
}

/// As `permission_paths_2`, of opens.
#[kprobe]
pub(crate) fn permission_opens_2(ctx: ProbeContext) -> u32 {
    opens(ctx.arg(0).unwrap_or(0), ctx.arg(1).unwrap_or(0));
    0
}

/// The same, since 5.12.
#[kprobe]
pub(crate) fn permission_opens_3(ctx: ProbeContext) -> u32 {
    opens(ctx.arg(1).unwrap_or(0), ctx.arg(2).unwrap_or(0));
    0
}

// What delivery costs: the same record, of which the reader is not told, and one that goes nowhere.

#[inline(always)]
fn lazy(inode: u64, mask: u32) {
    send(identity(inode), mask, 0, BPF_RB_NO_WAKEUP);
}

#[inline(always)]
fn quiet(inode: Inode, mask: u32) {
    let mut record = MaybeUninit::<Record>::uninit();
    let record = record.as_mut_ptr();
    // SAFETY: a record of our own. What is read back volatile is written before.
    unsafe {
        fill(record, inode, mask, 0);
        for word in 0..size_of::<Record>() / 8 - 6 {
            read_volatile(record.cast::<u64>().add(word));
        }
    }
}

/// As `permission_all_2`, without a wake-up.
#[kprobe]
pub(crate) fn permission_lazy_2(ctx: ProbeContext) -> u32 {
    lazy(ctx.arg(0).unwrap_or(0), ctx.arg(1).unwrap_or(0));
    0
}

/// The same, since 5.12.
#[kprobe]
pub(crate) fn permission_lazy_3(ctx: ProbeContext) -> u32 {
    lazy(ctx.arg(1).unwrap_or(0), ctx.arg(2).unwrap_or(0));
    0
}

/// As `permission_all_2`, without a record.
#[kprobe]
pub(crate) fn permission_quiet_2(ctx: ProbeContext) -> u32 {
    quiet(identity(ctx.arg(0).unwrap_or(0)), ctx.arg(1).unwrap_or(0));
    0
}

/// The same, since 5.12.
#[kprobe]
pub(crate) fn permission_quiet_3(ctx: ProbeContext) -> u32 {
    quiet(identity(ctx.arg(1).unwrap_or(0)), ctx.arg(2).unwrap_or(0));
    0
}

// The same three of one system call, for kernels without kprobes.

/// Whether it is the call that is asked for: `sys_enter(regs, id)`.
#[inline(always)]
fn is_call(ctx: &RawTracePointContext) -> bool {
    // SAFETY: the context is an array of the tracepoint's arguments; the loader sets the global.
    unsafe { *ctx.as_ptr().cast::<u64>().add(1) == u64::from(read_volatile(&raw const CALL)) }
}

/// Reports the call and wakes the reader.
#[raw_tracepoint(tracepoint = "sys_enter")]
pub(crate) fn call_woken(ctx: RawTracePointContext) -> u32 {
    if is_call(&ctx) {
        send([0, 0], 0, 0, 0);
    }
    0
}

/// The same without a wake-up.
#[raw_tracepoint(tracepoint = "sys_enter")]
pub(crate) fn call_lazy(ctx: RawTracePointContext) -> u32 {
    if is_call(&ctx) {
        send([0, 0], 0, 0, BPF_RB_NO_WAKEUP);
    }
    0
}

/// The same without a record.
#[raw_tracepoint(tracepoint = "sys_enter")]
pub(crate) fn call_quiet(ctx: RawTracePointContext) -> u32 {
    if is_call(&ctx) {
        quiet([0, 0], 0);
    }
    0
}

// `permission_inodes`: what audit programs on this hook publish. They read which inode it is, look it up among those that
// are watched, and report a hit.

#[inline(always)]
fn of_listed(inode: u64, mask: u32) {
    let inode = identity(inode);
    // SAFETY: only asked whether it is there.
    if unsafe { INODES.get(&inode) }.is_some() {
        send(inode, mask, 0, 0);
    }
}

/// As `permission_all_2`.
#[kprobe]
pub(crate) fn permission_inodes_2(ctx: ProbeContext) -> u32 {
    of_listed(ctx.arg(0).unwrap_or(0), ctx.arg(1).unwrap_or(0));
    0
}

/// As `permission_all_3`.
#[kprobe]
pub(crate) fn permission_inodes_3(ctx: ProbeContext) -> u32 {
    of_listed(ctx.arg(1).unwrap_or(0), ctx.arg(2).unwrap_or(0));
    0
}

/// `do_sys_openat2(dirfd, name, how)`, as tutorials have it: every open becomes a record with the name that the caller
/// gave, and the reader drops those of other cgroups.
#[kprobe]
pub(crate) fn open_all(ctx: ProbeContext) -> u32 {
    send([0, 0], 0, ctx.arg(1).unwrap_or(0), 0);
    0
}

/// `do_sys_openat2(dirfd, name, how)`, as opensnoop has it: the cgroup first, then what the return needs is kept.
#[kprobe]
pub(crate) fn open_cgroups(ctx: ProbeContext) -> u32 {
    let task = bpf_get_current_pid_tgid();
    // SAFETY: no arguments; and only asked whether it is there.
    if unsafe { CGROUPS.get(&bpf_get_current_cgroup_id()) }.is_none() {
        return 0;
    }
    let mut pending = Pending { name: ctx.arg(1).unwrap_or(0), comm: [0; 16] };
    // SAFETY: sixteen bytes into a local.
    unsafe { bpf_get_current_comm((&raw mut pending.comm).cast::<c_void>(), 16) };
    // A full table loses the open, as there.
    let _full = PENDING.insert(&task, &pending, 0);
    0
}

/// Its return: whether the open was kept.
#[kretprobe]
pub(crate) fn open_cgroups_return(_: RetProbeContext) -> u32 {
    let task = bpf_get_current_pid_tgid();
    // SAFETY: the entry is this thread's own, which is here.
    let Some(pending) = (unsafe { PENDING.get(&task) }) else { return 0 };
    let name = pending.name;
    send([0, 0], 0, name, 0);
    let _gone = PENDING.remove(&task);
    0
}

// What a program on the permission check costs that does nothing, whoever wrote it.

/// Returns at once.
#[fexit(function = "inode_permission")]
pub(crate) fn floor_fexit(_: FExitContext) -> u32 {
    0
}

/// The same.
#[kprobe]
pub(crate) fn floor_kprobe(_: ProbeContext) -> u32 {
    0
}
