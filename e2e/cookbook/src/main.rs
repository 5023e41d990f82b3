//! The cookbook's programs. On any target but BPF this is an empty program, so that the whole workspace builds and lints.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod programs;

#[cfg(not(target_arch = "bpf"))]
fn main() {}
