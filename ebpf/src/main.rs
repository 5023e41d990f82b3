//! The eBPF programs. On any target but BPF this is an empty program, so that the whole workspace builds and lints.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
// An add whose result is not used: the only atomic instruction that every kernel takes, and core shows it for no BPF target.
#![cfg_attr(
    target_arch = "bpf",
    feature(core_intrinsics, asm_experimental_arch),
    allow(internal_features, reason = "atomic_xadd")
)]

#[cfg(target_arch = "bpf")]
mod programs;

#[cfg(not(target_arch = "bpf"))]
fn main() {}
