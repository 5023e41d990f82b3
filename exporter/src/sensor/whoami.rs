//! This process's id as the kernel numbers it: inside a PID namespace nothing else tells.

use aya::Ebpf;
use aya::programs::{RawTracePoint, RawTracePointRunOptions, TestRun as _};

use super::backend::Error;
use super::hook::{failed, loaded, program};
use super::memory::ControlMap;
use super::pins::Pins;

const NAME: &str = "whoami";

/// Loads the program.
pub(super) fn load(object: &mut Ebpf) -> Result<(), Error> {
    loaded(NAME, program::<RawTracePoint>(object, NAME)?.load())
}

/// Calls the loaded program.
pub(super) fn ask(object: &mut Ebpf, control: &ControlMap) -> Result<u32, Error> {
    call(program::<RawTracePoint>(object, NAME)?, control)
}

/// Calls the program that an earlier run left.
pub(super) fn ask_pinned(pins: &Pins, control: &ControlMap) -> Result<u32, Error> {
    call(&RawTracePoint::from_pin(pins.program(NAME)).map_err(|error| failed(NAME, &error))?, control)
}

/// Leaves the loaded program to the next run.
pub(super) fn pin(object: &mut Ebpf, pins: &Pins) -> Result<(), Error> {
    let path = pins.program(NAME);
    // Another build's.
    if path.exists() {
        std::fs::remove_file(&path).map_err(|error| failed(NAME, &error))?;
    }
    program::<RawTracePoint>(object, NAME)?.pin(path).map_err(|error| failed(NAME, &error))
}

fn call(program: &RawTracePoint, control: &ControlMap) -> Result<u32, Error> {
    program.test_run(RawTracePointRunOptions::new()).map_err(|error| failed(NAME, &error))?;
    Ok(control.get().caller)
}
