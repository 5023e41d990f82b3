//! The first program of a machine that is a Kubernetes node: makes a root that containers can leave, mounts what a
//! kubelet needs, and runs the node's servers.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use e2e::cluster::{STEPS, Step};
use e2e::vm::{boot, console_lines};
use rustix::mount::{MountPropagationFlags, mount_bind, mount_change, mount_move};
use rustix::process::{WaitOptions, chdir, chroot, wait};
use rustix::system::uname;

const MOUNTS: [(&str, &str); 10] = [
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("devpts", "/dev/pts"),
    ("tmpfs", "/dev/shm"),
    ("tmpfs", "/run"),
    ("cgroup2", "/sys/fs/cgroup"),
    ("bpf", "/sys/fs/bpf"),
    ("debugfs", "/sys/kernel/debug"),
    ("tracefs", "/sys/kernel/tracing"),
];
/// A server listens, an image is imported, all emulated.
const LIMIT: Duration = Duration::from_secs(300);

fn main() -> ExitCode {
    boot::end(run())
}

fn run() -> Result<()> {
    ensure!(std::process::id() == 1, "this program starts a node's machine, and is not for any other");
    leave_rootfs().context("make a root file system")?;
    boot::mount_all(&MOUNTS)?;
    mount_change("/", MountPropagationFlags::SHARED | MountPropagationFlags::REC).context("share the mounts")?;
    eprintln!("{}{}", console_lines::UP, uname().release().to_string_lossy());
    boot::load_modules()?;
    let steps: Vec<Step> = serde_json::from_slice(&fs::read(STEPS)?).context(STEPS)?;
    let mut servers = HashMap::new();
    for step in &steps {
        match &step.output {
            Some((name, device)) => drop(servers.insert(start(step, device)?, name)),
            None => complete(step)?,
        }
    }
    loop {
        // Orphans of containers too are this process's children.
        let ended = wait(WaitOptions::empty()).context("wait for a child")?;
        let Some((pid, status)) = ended else { continue };
        if let Some(name) = servers.remove(&pid.as_raw_nonzero().get()) {
            bail!("{name} ended: {status:?}");
        }
    }
}

/// A container's program may not leave the kernel's first file system by `pivot_root`, but a mount of it upon itself.
fn leave_rootfs() -> Result<()> {
    fs::create_dir_all("/root")?;
    mount_bind("/", "/root")?;
    chdir("/root")?;
    mount_move("/root", "/")?;
    chroot(".")?;
    Ok(chdir("/")?)
}

/// Returns its process id.
fn start(step: &Step, device: &str) -> Result<i32> {
    let output = OpenOptions::new().write(true).open(device).with_context(|| format!("open {device}"))?;
    let child = command(step).stdout(output.try_clone()?).stderr(output).spawn();
    let child = child.with_context(|| format!("start {}", step.command.join(" ")))?;
    Ok(child.id().cast_signed())
}

fn complete(step: &Step) -> Result<()> {
    let started = Instant::now();
    loop {
        let output = command(step).output().with_context(|| format!("run {}", step.command.join(" ")))?;
        if output.status.success() {
            return Ok(());
        }
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(started.elapsed() < LIMIT, "{}: {}", step.command.join(" "), error.trim());
        thread::sleep(Duration::from_millis(200));
    }
}

fn command(step: &Step) -> Command {
    let mut command = Command::new(&step.command[0]);
    command.args(&step.command[1..]).env("PATH", "/bin");
    command
}
