//! Reading kernel memory.

use core::ffi::c_void;
use core::mem::MaybeUninit;

use aya_ebpf::helpers::bpf_get_current_task;
use aya_ebpf::helpers::generated::{bpf_get_current_task_btf, bpf_probe_read_kernel};
use inotrail_ebpf::{ABSENT, Layout};

/// Set by the loader; the verifier sees constants.
#[unsafe(no_mangle)]
pub(super) static LAYOUT: Layout = Layout::ABSENT;

/// One field of the layout.
macro_rules! at {
    ($field:ident) => {
        $crate::programs::kernel::constant(&$crate::programs::kernel::LAYOUT.$field)
    };
}
pub(super) use at;

/// Volatile: the compiler must not use the value that the object was built with.
#[inline(always)]
pub(super) fn constant(field: &'static u32) -> u32 {
    // SAFETY: a shared reference to a number.
    unsafe { core::ptr::read_volatile(field) }
}

/// Reads a `T` at `base + offset`; zero where the address cannot be read.
#[inline(always)]
pub(super) fn read<T: Copy>(base: u64, offset: u32) -> T {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: the helper writes size_of::<T>() bytes to `value`, on a fault zeroes; T is plain old data here.
    unsafe {
        bpf_probe_read_kernel(
            value.as_mut_ptr().cast::<c_void>(),
            size_of::<T>() as u32,
            base.wrapping_add(offset as u64) as *const c_void,
        );
        value.assume_init()
    }
}

/// Whether the verifier knows the current task as one, and what hangs on it: then that is read by plain loads, where a probe
/// read takes ten times as many instructions.
#[inline(always)]
pub(super) fn has_typed_task() -> bool {
    at!(helper_typed_task) != ABSENT
}

/// The current task, for [`load`].
#[inline(always)]
pub(super) fn current<const TYPED: bool>() -> u64 {
    // SAFETY: no arguments, no preconditions.
    unsafe { if TYPED { bpf_get_current_task_btf() as u64 } else { bpf_get_current_task() as u64 } }
}

/// Like [`read`]; where `TYPED`, `base` is a pointer whose type the verifier knows, and that has a `T` there.
#[inline(always)]
pub(super) fn load<const TYPED: bool, T: Copy>(base: u64, offset: u32) -> T {
    if TYPED {
        // SAFETY: the verifier checks the offset; the kernel gives 0 for an address that cannot be read.
        return unsafe { core::ptr::read_volatile(base.wrapping_add(offset as u64) as *const T) };
    }
    read(base, offset)
}
