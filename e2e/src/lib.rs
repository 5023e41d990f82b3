//! The test bench.

pub mod initramfs;
pub mod kernels;
pub mod vm;
