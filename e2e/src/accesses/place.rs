//! Where a case runs, and as what.

use std::{fs, path::PathBuf, process};

use anyhow::{Context as _, Result};

use super::{Process, Watch, base};

/// Where a case runs, and as what.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its folder, as the mount namespace sees it.
    pub folder: PathBuf,
    /// The process that accesses.
    pub process: Process,
    /// The cgroup that it is in, as the kernel numbers it.
    pub cgroup: u64,
    /// Whether this kernel's `io_uring_complete` has a form that the sensor reads.
    pub io_uring_is_told: bool,
    /// Whether mutations are told by functions that know no mount.
    pub no_mounts: bool,
}

impl Place {
    /// Of a guest that was just started, and may have ended, but has not been waited for.
    ///
    /// # Errors
    /// Where procfs does not tell of it.
    pub fn of(guest: &process::Child, case: &str, watch: &Watch, io_uring_is_told: bool) -> Result<Self> {
        let pid = guest.id();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("read the guest's stat")?;
        // Field 22 of proc_pid_stat(5); the second may hold spaces and ends with the last parenthesis.
        let started = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(19)?.parse().ok());
        let started = started.with_context(|| format!("no start time in {stat}"))?;
        let process = Process { pid, parent: process::id(), started, is_main_thread: true };
        let (folder, cgroup, no_mounts) = (base().join(case), watch.cgroup_id(), watch.knows_no_mounts());
        Ok(Self { folder, process, cgroup, io_uring_is_told, no_mounts })
    }
}

/// A moment of the kernel's clock as procfs has it (`nsec_to_clock_t`).
pub(super) fn ticks(nanoseconds: u64) -> u64 {
    nanoseconds / (1_000_000_000 / rustix::param::clock_ticks_per_second())
}
