//! Network and mount namespaces of their own for servers that would otherwise meet this system's.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::daemon::Daemon;

const READY: Duration = Duration::from_secs(30);

/// Folders that servers write to whatever their configuration says.
const OWN: [&str; 3] = ["/run", "/var/lib", "/var/log"];

/// `$0` is the folder, the arguments are those of [`OWN`]. Two nodes of one kernel would share pinned programs, but for BPF
/// file systems of their own. Mounts are shared below, as systemd makes them.
const HOLD: &str = r#"
set -e
ip link set lo up
echo 1 > /proc/sys/net/ipv4/ip_forward
for path; do mount --bind "$0$path" "$path"; done
mount -t bpf bpf /sys/fs/bpf
mount --make-rshared /
: > "$0/held"
exec sleep infinity
"#;

/// Namespaces that last until this is dropped and the programs in them have ended. With them go their network devices
/// and whatever was mounted in them.
#[derive(Debug)]
pub struct Namespaces {
    holder: Daemon,
}

/// Where a program runs.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    /// Where this one does.
    Here,
    /// In the network and mount namespaces of the process with this id.
    With(u32),
}

impl Namespaces {
    /// Makes them. In them `/run`, `/var/lib` and `/var/log` are folders of these names below `folder`, and `/sys/fs/bpf` is
    /// empty.
    ///
    /// # Errors
    /// This is not root, or iproute2 is missing.
    pub fn new(name: &str, folder: &Path) -> Result<Self> {
        for path in OWN {
            let path = folder.join(&path[1..]);
            fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        }
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "--propagation", "private", "/bin/sh", "-c", HOLD]).arg(folder).args(OWN);
        let mut holder = Daemon::start(&format!("{name}-namespaces"), &mut command, folder, None)?;
        holder.wait_ready(READY, || folder.join("held").exists())?;
        Ok(Self { holder })
    }

    /// For programs that are to run in them.
    #[must_use]
    pub fn place(&self) -> Place {
        Place::With(self.holder.pid())
    }

    /// Whose they are, as `ip` wants to know.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.holder.pid()
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        // A shim whose container went at the wrong moment stays for ever, and these with it.
        let own = fs::read_link(format!("/proc/{}/ns/mnt", self.pid())).ok();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let pid = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
            let lives_here = || own.is_some() && fs::read_link(entry.path().join("ns/mnt")).ok() == own;
            let Some(pid) = pid.filter(|pid| pid.as_raw_nonzero().get().cast_unsigned() != self.pid()) else {
                continue;
            };
            if lives_here()
                && let Err(error) = kill_process(pid, Signal::KILL)
            {
                eprintln!("cannot end process {}: {error}", pid.as_raw_nonzero());
            }
        }
    }
}

impl Place {
    /// A command that runs a program there; the command's process is the program's.
    pub fn command(self, program: impl AsRef<OsStr>) -> Command {
        let Self::With(pid) = self else { return Command::new(program) };
        let mut command = Command::new("nsenter");
        command.args(["--target", &pid.to_string(), "--net", "--mount", "--"]).arg(program);
        command
    }

    /// A command that runs there what another one, without an environment of its own, would run here.
    #[must_use]
    pub fn instead(self, other: &Command) -> Command {
        let mut command = self.command(other.get_program());
        command.args(other.get_args());
        command
    }
}
