//! The first program of a test machine: mounts what the sensor and its tests need, runs the guest, and says on the
//! console how that ended.

use std::{
    fs,
    os::unix::ffi::OsStringExt as _,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, ensure};
use e2e::vm::{ARGUMENTS, boot, console_lines};
use rustix::system::uname;

const MOUNTS: [(&str, &str); 8] = [
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("tmpfs", "/tmp"),
    ("cgroup2", "/sys/fs/cgroup"),
    ("bpf", "/sys/fs/bpf"),
    ("debugfs", "/sys/kernel/debug"),
    ("tracefs", "/sys/kernel/tracing"),
];

fn main() -> ExitCode {
    boot::end(run())
}

fn run() -> Result<()> {
    ensure!(std::process::id() == 1, "this program starts a test machine, and is not for any other");
    boot::mount_all(&MOUNTS)?;
    eprintln!("{}{}", console_lines::UP, uname().release().to_string_lossy());
    boot::load_modules()?;
    let arguments = fs::read(ARGUMENTS).with_context(|| format!("read {ARGUMENTS}"))?;
    let arguments = arguments.split(|byte| *byte == 0).filter(|argument| !argument.is_empty());
    let mut guest = Command::new("/bin/guest");
    guest.args(arguments.map(|argument| std::ffi::OsString::from_vec(argument.to_vec())));
    guest.env("PATH", "/usr/bin:/bin").env("RUST_BACKTRACE", "1").env("RUST_LIB_BACKTRACE", "0");
    let status = guest.status().context("run the guest")?;
    ensure!(status.success(), "the guest ended with {status}");
    Ok(())
}
