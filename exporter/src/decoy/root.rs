//! A container's root, as one of its processes has it.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Statx, StatxFlags, openat, statx};

use super::Site;
use crate::container::cgroup::Hierarchy;

/// Processes of a cgroup that are looked at, and cgroups below it.
const PROCESSES_MAX: usize = 8;
const CGROUPS_MAX: usize = 32;
/// Bytes read of a list of processes, and of mounts: more than any container has.
const PROCS_MAX: u64 = 4096;
const MOUNTINFO_MAX: u64 = 16 << 20;

/// Finds containers' roots.
#[derive(Debug)]
pub(super) struct Roots {
    proc: PathBuf,
    hierarchy: Hierarchy,
    /// Device and inode of the host's root.
    host: (u64, u64),
}

/// Why a container has no root to write to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// There is no such cgroup.
    Gone,
    /// Its runtime has not made it ready.
    NotYet,
    /// What its processes have as their root may be somebody else's too.
    Foreign,
    /// They may not be looked at.
    Denied,
}

impl Roots {
    pub(super) fn new(hierarchy: Hierarchy, host: (u64, u64)) -> Self {
        Self { proc: PathBuf::from("/proc"), hierarchy, host }
    }

    /// The root of a container. `is_patient`: not before it runs a program of its own; until then its runtime may make the
    /// root read-only, and what was put there would have to stay.
    pub(super) fn open(&self, cgroup: u64, site: &Site, is_patient: bool) -> Result<OwnedFd, Missing> {
        use std::os::unix::ffi::OsStrExt as _;
        let path = Path::new(std::ffi::OsStr::from_bytes(&site.cgroup));
        if self.hierarchy.id_of(path).ok() != Some(cgroup) {
            return Err(Missing::Gone);
        }
        let mut last = Missing::NotYet;
        for (list, pid) in processes(&self.hierarchy.directory(path)).into_iter().take(PROCESSES_MAX) {
            match self.of_process(&list, &pid, is_patient) {
                Ok(Ok(root)) => return Ok(root),
                Ok(Err(missing)) => last = missing,
                Err(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) => last = Missing::Denied,
                // It has ended.
                Err(_) => {}
            }
        }
        Err(last)
    }

    fn of_process(&self, list: &Path, pid: &str, is_patient: bool) -> rustix::io::Result<Result<OwnedFd, Missing>> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let process = openat(CWD, self.proc.join(pid), flags, Mode::empty())?;
        let root = openat(&process, "root", flags, Mode::empty())?;
        let at = mount_of(&root, "")?;
        if (rustix::fs::makedev(at.stx_dev_major, at.stx_dev_minor), at.stx_ino) == self.host {
            return Ok(Err(Missing::NotYet));
        }
        if !is_own_overlay(&read(&process, "mountinfo", MOUNTINFO_MAX)?, at.stx_mnt_id) {
            return Ok(Err(Missing::Foreign));
        }
        if is_patient && mount_of(&process, "exe")?.stx_mnt_id != at.stx_mnt_id {
            return Ok(Err(Missing::NotYet));
        }
        // All of this was of one process, which is the cgroup's: a number is not given again while what had it is there.
        let still = procs(list).iter().any(|member| member == pid);
        read(&process, "stat", 1)?;
        Ok(if still { Ok(root) } else { Err(Missing::NotYet) })
    }
}

/// Whether a process's root is all of an overlay, by its mount table: anything else may be a part of the node's file system,
/// or of a volume; a process of a container may choose any folder that it sees as its root. The table costs no file system
/// a call: whoever serves one in user space could let it hang.
fn is_own_overlay(mountinfo: &[u8], mount: u64) -> bool {
    String::from_utf8_lossy(mountinfo).lines().any(|line| {
        let Some((fields, filesystem)) = line.split_once(" - ") else { return false };
        let fields: Vec<_> = fields.split(' ').collect();
        fields.first().and_then(|id| id.parse().ok()) == Some(mount)
            && fields.get(3..5) == Some(&["/", "/"])
            && filesystem.split(' ').next() == Some("overlay")
    })
}

fn mount_of(folder: &OwnedFd, name: &str) -> rustix::io::Result<Statx> {
    let flags = if name.is_empty() { AtFlags::EMPTY_PATH } else { AtFlags::empty() };
    statx(folder, name, flags | AtFlags::STATX_DONT_SYNC, StatxFlags::INO | StatxFlags::MNT_ID)
}

fn read(process: &OwnedFd, name: &str, bytes: u64) -> rustix::io::Result<Vec<u8>> {
    let file = openat(process, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut text = Vec::new();
    let read = fs::File::from(file).take(bytes).read_to_end(&mut text);
    read.map_err(|error| rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO))?;
    Ok(text)
}

/// Processes of a cgroup and of those below it, each with the list that it is in. What is in a container's own comes first.
fn processes(cgroup: &Path) -> Vec<(PathBuf, String)> {
    let (mut found, mut seen) = (Vec::new(), 0);
    let mut folders = VecDeque::from([cgroup.to_owned()]);
    while let Some(folder) = folders.pop_front()
        && found.len() < PROCESSES_MAX
        && seen < CGROUPS_MAX
    {
        seen += 1;
        let list = folder.join("cgroup.procs");
        found.extend(procs(&list).into_iter().map(|pid| (list.clone(), pid)));
        let below = fs::read_dir(&folder).into_iter().flatten().flatten();
        let below = below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders.extend(below.take(CGROUPS_MAX).map(|entry| entry.path()));
    }
    found
}

fn procs(list: &Path) -> Vec<String> {
    let read = || -> io::Result<String> {
        let mut text = String::new();
        fs::File::open(list)?.take(PROCS_MAX).read_to_string(&mut text)?;
        Ok(text)
    };
    // Those of a PID namespace that is not seen from here are all 0; the last one may be cut.
    let text = read().unwrap_or_default();
    text.split_inclusive('\n')
        .filter_map(|line| line.strip_suffix('\n'))
        .filter(|pid| *pid != "0")
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests;
