use std::path::Path;

use aya::Btf as KernelBtf;
use aya::programs::{Program, ProgramError};

use super::*;

/// The verifier takes every program that this kernel has a hook for, also those that another one makes redundant here.
#[test]
fn every_program_loads() {
    let hierarchy = Hierarchy::detect().unwrap();
    let btf = Btf::load(Path::new("/sys/kernel/btf/vmlinux")).unwrap();
    let (layout, _) = layout::resolve(&btf, hierarchy.controller, hierarchy.id).unwrap();
    let options = Options { mutations: true, ..Options::new(hierarchy, 4096) };
    let mut ebpf = maps::load(&layout, 4096, 1, None, &options).unwrap();
    let kernel = KernelBtf::from_sys_fs().unwrap();
    let mut loaded = Vec::new();
    for (name, program) in ebpf.programs_mut() {
        let result = match program {
            Program::RawTracePoint(program) => program.load(),
            Program::BtfTracePoint(program) => program.load("sys_exit", &kernel),
            Program::KProbe(program) => program.load(),
            Program::FExit(program) => {
                let function = match mutations::place(name) {
                    Some(mutations::Place::Return(_, function)) => function,
                    _ => "inode_permission",
                };
                match program.load(function, &kernel) {
                    // Where the kernel allows no trampolines at all; the virtual machines prove these programs.
                    Err(ProgramError::LoadError { io_error, .. }) if io_error.raw_os_error() == Some(1) => continue,
                    result => result,
                }
            }
            other => panic!("{name} is of an unexpected type: {other:?}"),
        };
        result.unwrap_or_else(|error| panic!("{name}: {}", backend::chain(&error)));
        loaded.push(name.to_owned());
    }
    for name in [
        "sys_exit_raw",
        "sys_exit_btf",
        "kprobe_2",
        "kprobe_3",
        "process_exec",
        "io_uring_complete_result",
        "kprobe_rename",
    ] {
        assert!(loaded.iter().any(|loaded| loaded == name), "{name} is not among {loaded:?}");
    }
}
