//! fexit and kprobe, in a machine with Debian's kernel: the development machine's own has neither.

use std::path::PathBuf;

use e2e::{
    kernels::Line,
    vm::{Machine, TESTS},
};

fn prove(test: &str) {
    let kernel = Line::named("6.12", "x86_64").unwrap().fetch(false).unwrap();
    let machine = Machine {
        kernel,
        init: PathBuf::from(env!("CARGO_BIN_EXE_init")),
        guest: PathBuf::from(env!("CARGO_BIN_EXE_guest")),
        keep: false,
    };
    let test = TESTS.iter().find(|known| known.name == test).unwrap();
    machine.prove(test).unwrap();
}

#[test]
fn fexit_and_kprobe_tell_every_access_of_the_list() {
    prove("accesses");
}

#[test]
fn fexit_and_kprobe_report_every_open_under_load() {
    prove("opens");
}

#[test]
fn fexit_and_kprobe_tear_no_path() {
    prove("renames");
}
