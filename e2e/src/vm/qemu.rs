//! One run of QEMU, without hardware virtualization: development machines and CI have none.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::{Test, console::Console, console_lines};
use crate::kernels::Kernel;

/// From the start of QEMU to the first line of our first program.
const BOOT: Duration = Duration::from_secs(90);

/// How the emulator runs the machine's CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// One thread per CPU.
    Multi,
    /// All in one: for tests that attach and detach programs under load, which the other one cannot emulate.
    Single,
}

/// Why a machine did not pass.
#[derive(Debug)]
pub(super) enum Error {
    /// It never came up.
    NotUp(String),
    /// It came up, and then this.
    Failed(String),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotUp(why) => write!(f, "the machine did not come up: {why}"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

/// Boots the kernel and waits for the verdict.
pub(super) fn run(kernel: &Kernel, test: &Test, initramfs: &Path, log: &Path) -> Result<(), Error> {
    let not_up = |error: std::io::Error| Error::NotUp(error.to_string());
    let mut machine = Running(command(kernel, test.threads, initramfs).spawn().map_err(not_up)?);
    let mut console = Console::open(&mut machine.0, log).map_err(not_up)?;
    let start = Instant::now();
    let mut deadline = start + BOOT;
    let mut up = false;
    let why = loop {
        let Some(line) = console.line(deadline) else {
            break if Instant::now() >= deadline { "time ran out" } else { "the machine ended without a verdict" };
        };
        // The firmware and the kernel may leave a line without its end.
        if let Some((_, release)) = line.split_once(console_lines::UP) {
            eprintln!("{release} {}: up after {:.1?}", test.name, start.elapsed());
            up = true;
            deadline = Instant::now() + test.timeout;
        } else if line.ends_with(console_lines::PASS) {
            return Ok(());
        } else if line.contains(console_lines::FAIL) {
            break "the guest failed";
        } else if up {
            eprintln!("{} | {line}", test.name);
        }
    };
    // What came after the machine was up has been printed.
    if up {
        return Err(Error::Failed(why.to_owned()));
    }
    eprintln!("{}", console.tail());
    Err(Error::NotUp(why.to_owned()))
}

fn command(kernel: &Kernel, threads: Threads, initramfs: &Path) -> Command {
    let mut command = Command::new(format!("qemu-system-{}", kernel.arch));
    let threads = if threads == Threads::Multi { "tcg,thread=multi" } else { "tcg,thread=single" };
    command.args(["-accel", threads, "-m", "1024", "-smp", "2"]);
    let console = if kernel.arch == "x86_64" {
        // Five-level page tables and counters cost emulation time and are not what is tested. QEMU 7.2 now and then
        // gives cmpxchg16b wrong flags, of which one boot in eight died.
        command.args(["-cpu", "max,la57=off,pmu=off,cx16=off"]);
        "ttyS0"
    } else {
        command.args(["-M", "virt", "-cpu", "cortex-a72"]);
        "ttyAMA0"
    };
    command.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(initramfs);
    command.arg("-append").arg(format!("console={console} quiet loglevel=3 panic=-1 oops=panic"));
    command.args(["-nographic", "-nodefaults", "-no-reboot", "-serial", "stdio"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command
}

/// A machine that ends when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.0.kill().and_then(|()| self.0.wait()) {
            eprintln!("the machine {} may still run: {error}", self.0.id());
        }
    }
}
