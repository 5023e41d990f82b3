//! A CPU that goes and comes back while files are opened.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use anyhow::{Context as _, Result, bail, ensure};
use inotrail::event::Backend;

use super::{Opens, Reader};

/// The file that takes a CPU away and brings it back.
const ONLINE: &str = "/sys/devices/system/cpu/cpu1/online";

/// Takes a CPU away again and again under load: the books must close. For test machines only.
///
/// # Errors
/// Where they do not, or the CPU cannot be taken away.
pub fn prove_hotplug(opens: Opens, backend: Backend, guest: &Path, reader: Reader) -> Result<()> {
    super::only_in_a_machine()?;
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let switching = scope.spawn(|| switch(&done));
        let proved = opens.prove(backend, guest, reader);
        done.store(true, Ordering::Relaxed);
        let Ok(switched) = switching.join() else { bail!("the thread that switches the CPU panicked") };
        let switched = switched?;
        eprintln!("{}: a CPU came back {switched} times meanwhile", backend.as_str());
        proved?;
        ensure!(switched > 0, "the CPU was not taken away: this proves nothing");
        Ok(())
    })
}

/// How often the CPU came back before it was `done`.
fn switch(done: &AtomicBool) -> Result<u64> {
    let mut switched = 0;
    while !done.load(Ordering::Relaxed) {
        for state in ["0", "1"] {
            fs::write(ONLINE, state).with_context(|| format!("write {state} to {ONLINE}"))?;
        }
        switched += 1;
    }
    Ok(switched)
}
