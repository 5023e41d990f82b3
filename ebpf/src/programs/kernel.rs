//! Reading kernel memory.

use core::ffi::c_void;
use core::mem::MaybeUninit;

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use inotrail_ebpf::Layout;

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
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: the helper writes size_of::<T>() bytes to `value`, or zeroes on a fault; T is plain old data here.
    unsafe {
        bpf_probe_read_kernel(
            value.as_mut_ptr().cast::<c_void>(),
            size_of::<T>() as u32,
            base.wrapping_add(offset as u64) as *const c_void,
        );
        value.assume_init()
    }
}
