//! One run of QEMU, without hardware virtualization: development machines and CI have none.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::{Test, console::Console, console_lines, machine::Told};
use crate::kernels::Kernel;

/// From the start of QEMU to the first line of our first program: 3 to 5 seconds on a quiet machine.
pub(crate) const BOOT: Duration = Duration::from_secs(300);

/// A test machine's memory, in MiB.
pub(crate) const MEMORY: &str = "1024";

/// How the emulator runs the machine's CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// One thread per CPU.
    Multi,
    /// All in one: for tests that attach and detach programs under load, which the other one cannot emulate.
    Single,
    /// One CPU whose time is the number of its instructions, and passes at once while it has nothing to do.
    Counted,
}

impl Threads {
    fn words(self) -> &'static [&'static str] {
        match self {
            Self::Multi => &["-accel", "tcg,thread=multi", "-smp", "2"],
            Self::Single => &["-accel", "tcg,thread=single", "-smp", "2"],
            // An instruction takes two nanoseconds.
            Self::Counted => &["-accel", "tcg,thread=single", "-smp", "1", "-icount", "shift=1,sleep=off"],
        }
    }
}

/// How a run of a machine ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// It said that all is well.
    Pass,
    /// It never came up.
    NotUp(String),
    /// It came up, and then this.
    Failed(String),
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pass => f.write_str("passed"),
            Self::NotUp(why) => write!(f, "the machine did not come up: {why}"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

/// Boots the kernel and reads what the guest tells, to its end.
pub(super) fn run(
    kernel: &Kernel,
    preempt: Option<&str>,
    test: &Test,
    initramfs: &Path,
    log: &Path,
    told: &mut Told,
) -> Ended {
    let not_up = |error: std::io::Error| Ended::NotUp(error.to_string());
    let mut machine = match machine(kernel, preempt, test, initramfs).spawn() {
        Ok(machine) => Running(machine),
        Err(error) => return not_up(error),
    };
    let mut console = match Console::open(&mut machine.0, log) {
        Ok(console) => console,
        Err(error) => return not_up(error),
    };
    let mut deadline = Instant::now() + BOOT;
    let mut up = false;
    let why = loop {
        let Some(line) = console.line(deadline) else {
            break if Instant::now() >= deadline { "time ran out" } else { "the machine ended without a verdict" };
        };
        // The firmware and the kernel may leave a line without its end.
        if line.contains(console_lines::UP) {
            up = true;
            deadline = Instant::now() + test.timeout;
        } else if let Some((_, facts)) = line.split_once(console_lines::FACTS) {
            told.facts = serde_json::from_str(facts).ok();
        } else if let Some((_, verdict)) = line.split_once(console_lines::VERDICT) {
            told.verdicts.extend(serde_json::from_str(verdict));
        } else if line.ends_with(console_lines::PASS) {
            return Ended::Pass;
        } else if line.contains(console_lines::FAIL) {
            break "the guest failed";
        }
    };
    eprintln!("{}", console.tail());
    if up { Ended::Failed(why.to_owned()) } else { Ended::NotUp(why.to_owned()) }
}

fn machine(kernel: &Kernel, preempt: Option<&str>, test: &Test, initramfs: &Path) -> Command {
    let words = preempt.map(|model| format!("preempt={model}"));
    command(kernel, initramfs, &[test.threads.words(), &["-m", MEMORY]].concat(), words.as_deref())
}

/// A machine with its console on stdout; `hardware` is its CPUs, memory and devices. It ends with us, however we end.
pub(crate) fn command(kernel: &Kernel, initramfs: &Path, hardware: &[&str], words: Option<&str>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", &format!("qemu-system-{}", kernel.arch)]).args(hardware);
    let console = if kernel.arch == "x86_64" {
        // Five-level page tables and counters cost emulation time and are not what is tested. QEMU 7.2 now and then
        // gives cmpxchg16b wrong flags, of which one boot in eight died.
        command.args(["-cpu", "max,la57=off,pmu=off,cx16=off"]);
        "ttyS0"
    } else {
        // Every arm64 kernel runs on it, and emulating "max" costs more. QEMU unpacks gzipped images itself.
        command.args(["-M", "virt", "-cpu", "cortex-a72"]);
        "ttyAMA0"
    };
    command.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(initramfs);
    let line = format!("console={console} quiet loglevel=3 panic=-1 oops=panic");
    command.arg("-append").arg([&*line].into_iter().chain(words).collect::<Vec<_>>().join(" "));
    command.args(["-nographic", "-nodefaults", "-no-reboot", "-serial", "stdio"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command
}

/// A machine that ends when it is dropped.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.0.kill().and_then(|()| self.0.wait()) {
            eprintln!("the machine {} may still run: {error}", self.0.id());
        }
    }
}
