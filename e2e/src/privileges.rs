//! What the kernel asks of the sensor, proven with a process that holds exactly that, and with processes that lack it.

mod limited;

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use inotrail::{event::Backend, sensor::kernel::Kernel};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};

pub use limited::{Limited, names};

const BTF: &str = "/sys/kernel/btf";
const UNPRIVILEGED: &str = "/proc/sys/kernel/unprivileged_bpf_disabled";
const SECURITY: &str = "/sys/kernel/security";
const NEEDS_ADMIN: &str = "it needs CAP_SYS_ADMIN because kernel.perf_event_paranoid is 3";

/// Proves the capabilities that a backend needs, one by one, under the usual sysctls and lockdown for integrity. Changes
/// settings of the machine for good: for test machines only.
///
/// # Errors
/// Where it works although it should not, or the other way round; all such cases are in the error.
pub fn prove(backend: Backend, guest: &Path) -> Result<String> {
    let mut proof = Proof { guest, wrong: String::new(), ran: 0 };
    sysctl("kptr_restrict", "2")?;
    // 1 cannot be taken back: the backend before this one has left it.
    if fs::read_to_string(UNPRIVILEGED)?.trim() != "1" {
        sysctl("unprivileged_bpf_disabled", "2")?;
    }
    proof.capabilities(backend)?;
    sysctl("unprivileged_bpf_disabled", "1")?;
    lock_down("integrity")?;
    sysctl("perf_event_paranoid", "2")?;
    proof.works("unprivileged_bpf_disabled=1 lockdown=integrity", backend, &base(), None)?;
    proof.without_btf(backend)?;
    proof.end()
}

/// Proves that lockdown for confidentiality is named. Locks the machine down.
///
/// # Errors
/// Where the backend works, or the reason is not named.
pub fn prove_lockdown(backend: Backend, guest: &Path) -> Result<String> {
    let mut proof = Proof { guest, wrong: String::new(), ran: 0 };
    lock_down("confidentiality")?;
    let reason = "the kernel is locked down for confidentiality";
    proof.refused("lockdown=confidentiality", backend, &base(), None, reason)?;
    // A container does not see the file that tells.
    unmount(SECURITY, UnmountFlags::empty()).context("unmount securityfs")?;
    proof.refused("lockdown=confidentiality, unseen", backend, &base(), None, reason)?;
    proof.end()
}

/// What is needed on this kernel.
fn base() -> Vec<&'static str> {
    let locked: &[_] = if Kernel::detect().version < (5, 11) { &["CAP_SYS_RESOURCE"] } else { &[] };
    [&["CAP_BPF", "CAP_PERFMON"], locked].concat()
}

/// Attempts, and those that came out otherwise than they should.
struct Proof<'a> {
    guest: &'a Path,
    wrong: String,
    ran: usize,
}

impl Proof<'_> {
    /// Exactly what is needed, and each capability removed.
    fn capabilities(&mut self, backend: Backend) -> Result<()> {
        let held = base();
        for paranoid in ["2", "3"] {
            sysctl("perf_event_paranoid", paranoid)?;
            let what = format!("perf_event_paranoid={paranoid}");
            if backend == Backend::Kprobe && paranoid == "3" {
                self.refused(&what, backend, &held, None, NEEDS_ADMIN)?;
                self.works(&what, backend, &[&held[..], &["CAP_SYS_ADMIN"]].concat(), None)?;
                self.checks(&what, &held)?;
            } else {
                self.works(&what, backend, &held, None)?;
            }
            for removed in &held {
                let rest: Vec<_> = held.iter().copied().filter(|name| name != removed).collect();
                self.refused(&what, backend, &rest, None, &format!("missing {removed} ("))?;
            }
        }
        Ok(())
    }

    /// `check` says why kprobe does not run, and takes another.
    fn checks(&mut self, what: &str, held: &[&str]) -> Result<()> {
        let output = self.run(&["check"], held, None)?;
        let other = !output.1.contains("chosen: kprobe") && !output.1.contains("chosen: none");
        let right = output.1.contains(NEEDS_ADMIN) && other;
        self.say(&format!("{what}: check"), right, &output.1);
        Ok(())
    }

    /// Without `/sys/kernel/btf`, with and without a file in its stead.
    fn without_btf(&mut self, backend: Backend) -> Result<()> {
        let (file, empty) = (PathBuf::from("/tmp/vmlinux"), Path::new("/tmp/empty"));
        fs::copy(format!("{BTF}/vmlinux"), &file).context("copy the type information")?;
        fs::create_dir_all(empty)?;
        mount_bind(empty, BTF).context("hide the type information")?;
        let held = base();
        self.refused("no BTF", backend, &held, None, "or name a file with --btf")?;
        if backend == Backend::Fexit {
            self.refused("--btf", backend, &held, Some(&file), "the kernel has no readable BTF")?;
        } else {
            self.works("--btf", backend, &held, Some(&file))?;
        }
        fs::write(&file, &fs::read(&file)?[..1 << 20])?;
        let reason = "/tmp/vmlinux is not valid BTF: the type section lies behind the end of the file";
        self.refused("--btf, cut short", backend, &held, Some(&file), reason)?;
        unmount(BTF, UnmountFlags::empty()).context("show the type information")
    }

    fn works(&mut self, what: &str, backend: Backend, held: &[&str], btf: Option<&Path>) -> Result<()> {
        let (success, text) = self.run(&["see", backend.as_str()], held, btf)?;
        self.say(&format!("{what}: {} with {}", backend.as_str(), held.join(" ")), success, &text);
        Ok(())
    }

    fn refused(&mut self, what: &str, backend: Backend, held: &[&str], btf: Option<&Path>, reason: &str) -> Result<()> {
        let (success, text) = self.run(&["see", backend.as_str()], held, btf)?;
        let what = format!("{what}: {} with {}: refused", backend.as_str(), held.join(" "));
        self.say(&what, !success && text.contains(reason), &format!("{text}(expected: {reason})"));
        Ok(())
    }

    /// Runs [`Limited`] in a process of its own: whether it succeeded, and what it said.
    fn run(&mut self, what: &[&str], held: &[&str], btf: Option<&Path>) -> Result<(bool, String)> {
        let mut command = Command::new(self.guest);
        command.arg("limited").args(what).args(["--hold", &held.join(",")]);
        if let Some(file) = btf {
            command.arg("--btf").arg(file);
        }
        self.ran += 1;
        let output = command.output().context("run the guest")?;
        let text = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
    }

    fn say(&mut self, what: &str, right: bool, text: &str) {
        eprintln!("{what}: {}", if right { "right" } else { "wrong" });
        if !right {
            eprintln!("{text}");
            let _infallible = writeln!(self.wrong, "  {what}");
        }
    }

    fn end(self) -> Result<String> {
        ensure!(self.wrong.is_empty(), "wrong:\n{}", self.wrong);
        Ok(format!("{} starts", self.ran))
    }
}

fn sysctl(name: &str, value: &str) -> Result<()> {
    let path = format!("/proc/sys/kernel/{name}");
    fs::write(&path, value).with_context(|| format!("write {value} to {path}"))
}

fn lock_down(level: &str) -> Result<()> {
    if !Path::new(SECURITY).join("lockdown").exists() {
        mount("securityfs", SECURITY, "securityfs", MountFlags::empty(), None).context("mount securityfs")?;
    }
    let file = Path::new(SECURITY).join("lockdown");
    // No level can be set twice.
    if fs::read_to_string(&file)?.contains(&format!("[{level}]")) {
        return Ok(());
    }
    fs::write(file, level).with_context(|| format!("lock the kernel down for {level}"))
}
