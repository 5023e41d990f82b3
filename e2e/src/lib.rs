//! The test bench.

pub mod accesses;
pub mod initramfs;
pub mod kernels;
pub mod load;
pub mod vm;
