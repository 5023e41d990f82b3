//! A machine of one CPU whose clock goes on by a nanosecond with each instruction, and jumps ahead when it is idle.
//!
//! Not one of the machines that prove the sensor: their clocks are this machine's.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::initramfs::Initramfs;
use crate::kernels::Kernel;
use crate::vm::{
    ARGUMENTS, MODULES, console_lines,
    qemu::{self, MEMORY, Running},
};

/// For a machine that shares its CPU with much else; a free one needs a minute.
const TIMEOUT: Duration = Duration::from_mins(30);

/// Places in the machine, and what is put there.
type Files<'a> = [(&'a str, &'a Path)];

/// Boots the kernel with the programs of this folder, these files and these more, runs the guest with these arguments, and
/// gives each line that it writes to `each`.
///
/// # Errors
/// The machine cannot be made or does not end as it should; the message has the last line.
pub(super) fn run(
    kernel: &Kernel,
    programs: &Path,
    (files, more): (&Files<'_>, &Files<'_>),
    arguments: &[&str],
    each: &mut dyn FnMut(&str),
) -> Result<()> {
    let folder = tempfile::tempdir().context("create a folder for the machine")?;
    let path = folder.path().join("initramfs");
    let mut archive = Initramfs::create(&path)?;
    for place in ["/dev", "/proc", "/sys", "/tmp", MODULES] {
        archive.folder(place)?;
    }
    archive.program(&programs.join("init"), "/init")?;
    archive.program(&programs.join("guest"), "/bin/guest")?;
    let arguments: String = arguments.iter().flat_map(|argument| [argument, "\0"]).collect();
    archive.file(ARGUMENTS, arguments.as_bytes())?;
    for (name, source) in files {
        archive.file(name, &fs::read(source).with_context(|| format!("read {}", source.display()))?)?;
    }
    for (name, source) in more {
        archive.program(source, name)?;
    }
    archive.finish()?;
    let hardware = ["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off", "-smp", "1", "-m", MEMORY];
    let machine = qemu::command(kernel, &path, &hardware, None).spawn();
    let machine = machine.context("start QEMU (apt-get install qemu-system-x86)")?;
    listen(Running(machine), each)
}

/// Until the machine has said how it ended.
fn listen(mut machine: Running, each: &mut dyn FnMut(&str)) -> Result<()> {
    let output = BufReader::new(machine.0.stdout.take().context("the console")?);
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let lines = output.split(b'\n').map_while(Result::ok);
        // The receiver is gone once it has heard enough.
        lines.map(|line| sender.send(line)).find(Result::is_err)
    });
    let deadline = Instant::now() + TIMEOUT;
    let (mut last, mut up) = (String::new(), false);
    loop {
        let line = match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => String::from_utf8_lossy(&line).trim_end().to_owned(),
            Err(RecvTimeoutError::Timeout) => bail!("the machine did not end within {TIMEOUT:?}: {last}"),
            Err(RecvTimeoutError::Disconnected) => bail!("the machine ended without a verdict: {last}"),
        };
        if line.ends_with(console_lines::PASS) {
            return Ok(());
        }
        if let Some((_, why)) = line.split_once(console_lines::FAIL) {
            bail!("the guest failed: {why}: {last}");
        }
        // What firmware and kernel write before is theirs.
        if up {
            each(&line);
        }
        up |= line.contains(console_lines::UP);
        last = line;
    }
}
