//! Reads what containers have mounted, from `/proc`.

use std::fs;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use super::super::volume::Volume;
use super::super::{Container, Origin, path};
use super::identify::{self, Whose};
use super::{Content, HostMounts, Mounts};

/// Processes of a cgroup that are looked at.
const PROCESSES_MAX: usize = 8;
/// Bytes read of a list of processes, and of mounts: more than any container has.
const PROCS_MAX: u64 = 4096;
const MOUNTINFO_MAX: u64 = 16 << 20;

/// Inodes of the first namespaces of cgroups and of PIDs (`include/linux/proc_ns.h`).
const CGROUP_NAMESPACE: u64 = 0xEFFF_FFFB;
const PID_NAMESPACE: u64 = 0xEFFF_FFFC;

/// Reads `/proc` of the host.
#[derive(Debug)]
pub struct MountReader {
    proc: PathBuf,
    /// What the host has mounted.
    mountinfo: PathBuf,
    /// Device and inode of the host's root.
    root: (u64, u64),
    /// The same of its mount namespace.
    mounts: (u64, u64),
}

/// Whose mounts are asked for.
#[derive(Debug)]
pub(in super::super) struct Wanted {
    /// Id of the cgroup.
    pub(in super::super) cgroup: u64,
    /// Where its files are.
    pub(in super::super) directory: PathBuf,
    /// What the kubelet calls the pod; empty: it is none.
    pub(in super::super) pod: String,
    pub(in super::super) container: Arc<Container>,
}

/// What came of it.
#[derive(Debug)]
pub(in super::super) enum Outcome {
    Found(Mounts<Content>),
    /// Its runtime has not put it into its root yet.
    NotYet,
    /// As before, and it shares all mounts with the host: some containers always do.
    AtHost,
    /// It may not be looked at, or has ended.
    Unreadable,
}

impl MountReader {
    /// A reader of `/proc`.
    ///
    /// # Errors
    ///
    /// The host's mounts are not seen there: in a container it takes the host's PID namespace and `CAP_SYS_PTRACE`.
    pub fn new() -> io::Result<Self> {
        let proc = PathBuf::from("/proc");
        Self::of(&proc, "1").or_else(|error| {
            // Whoever is on the host sees what its first process sees.
            if error.kind() == io::ErrorKind::PermissionDenied && is_on_host(&proc) {
                return Self::of(&proc, "self");
            }
            Err(error)
        })
    }

    fn of(proc: &Path, host: &str) -> io::Result<Self> {
        let directory = proc.join(host);
        let [root, mounts] = [identity(&directory.join("root"))?, identity(&directory.join("ns/mnt"))?];
        // A node may itself be a container, and then its first process is not this one's neighbour.
        let is_initial = identity(&proc.join("self/ns/pid"))?.1 == PID_NAMESPACE;
        if !is_initial && identity(&proc.join("self/root"))? == root {
            return Err(io::Error::other("the host's processes are not seen: use its PID namespace (hostPID: true)"));
        }
        let mountinfo = directory.join("mountinfo");
        fs::File::open(&mountinfo)?;
        Ok(Self { proc: proc.to_owned(), mountinfo, root, mounts })
    }

    /// Device and inode of the host's root.
    #[must_use]
    pub const fn host_root(&self) -> (u64, u64) {
        self.root
    }

    /// What the host has mounted, and what each container has. Blocks for some hundred microseconds each.
    pub(super) fn read(&self, wanted: &[Wanted]) -> (HostMounts, Vec<(u64, Outcome)>) {
        let host = identify::host(&limited(&self.mountinfo, MOUNTINFO_MAX).unwrap_or_default());
        let found = wanted.iter().map(|wanted| (wanted.cgroup, self.container(wanted, &host)));
        let found = found.collect();
        (host, found)
    }

    /// The folder in procfs of a process that is in its container's root; `directory`: where its cgroup's files are.
    pub(in super::super) fn inside(&self, directory: &Path) -> Option<PathBuf> {
        let list = limited(&directory.join("cgroup.procs"), PROCS_MAX).ok()?;
        let list = String::from_utf8_lossy(&list);
        let folders = list.lines().take(PROCESSES_MAX).map(|pid| self.proc.join(pid));
        folders.into_iter().find(|folder| identity(&folder.join("root")).is_ok_and(|root| root != self.root))
    }

    fn container(&self, wanted: &Wanted, host: &HostMounts) -> Outcome {
        let Ok(list) = limited(&wanted.directory.join("cgroup.procs"), PROCS_MAX) else { return Outcome::Unreadable };
        let list = String::from_utf8_lossy(&list).into_owned();
        let mut last = Outcome::NotYet;
        for pid in list.lines().take(PROCESSES_MAX) {
            // Processes of a PID namespace that is not seen from here are all 0.
            last = match self.process(pid, wanted, host) {
                _ if pid == "0" => Outcome::Unreadable,
                Ok(Outcome::Found(mounts)) => return Outcome::Found(mounts),
                Ok(outcome) => outcome,
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Outcome::Unreadable,
                Err(_) => Outcome::NotYet,
            };
        }
        last
    }

    /// A container's mounts are all there when its runtime has made its root that of the process.
    fn process(&self, pid: &str, wanted: &Wanted, host: &HostMounts) -> io::Result<Outcome> {
        let directory = self.proc.join(pid);
        let root = directory.join("root");
        if identity(&root)? == self.root {
            let at_host = identity(&directory.join("ns/mnt"))? == self.mounts;
            return Ok(if at_host { Outcome::AtHost } else { Outcome::NotYet });
        }
        let text = limited(&directory.join("mountinfo"), MOUNTINFO_MAX)?;
        let volumes = identify::volumes(&wanted.container);
        let name = match &wanted.container.origin {
            Origin::Container { name, .. } => name,
            _ => "",
        };
        let wishes: Vec<_> =
            volumes.iter().flat_map(|volumes| volumes.of(name)).map(|wish| resolved(&root, wish)).collect();
        let whose = Whose { pod: wanted.pod.as_bytes(), volumes, wishes: &wishes };
        Ok(Outcome::Found(identify::container(&text, host, whose)))
    }
}

/// Where a container's root has links above a mount (`/var/run` is mostly one), it is where they lead.
fn resolved<'a>(root: &Path, (path, volume): (&str, &'a Arc<Volume>)) -> (Vec<u8>, &'a Arc<Volume>) {
    let path = Path::new("/").join(path.trim_end_matches('/'));
    let real = || {
        // The container decides what is there: nothing outside of its root is followed, and no other mount is entered.
        let flags = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        let root = fs::File::open(root).ok()?;
        let parent = openat2(&root, path.parent()?, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), flags).ok()?;
        let [root, parent] = [name_of(root.as_fd())?, name_of(parent.as_fd())?];
        Some(Path::new("/").join(parent.strip_prefix(root).ok()?).join(path.file_name()?))
    };
    let path = real().unwrap_or_else(|| path.clone());
    (path.into_os_string().into_encoded_bytes(), volume)
}

/// Where an open directory is.
fn name_of(directory: BorrowedFd<'_>) -> Option<PathBuf> {
    fs::read_link(format!("/proc/self/fd/{}", directory.as_raw_fd())).ok()
}

/// Whether this process is in no container.
fn is_on_host(proc: &Path) -> bool {
    let sees_its_cgroup = identity(&proc.join("self/ns/cgroup")).is_ok_and(|(_, inode)| inode == CGROUP_NAMESPACE);
    let in_container = |line: &[u8]| {
        let path = line.splitn(3, |byte| *byte == b':').nth(2).unwrap_or_default();
        path::outermost(&path::candidates(path)).is_some()
    };
    let cgroups = fs::read(proc.join("self/cgroup")).unwrap_or_default();
    sees_its_cgroup && !cgroups.split(|byte| *byte == b'\n').any(in_container)
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

fn limited(path: &Path, bytes: u64) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    fs::File::open(path)?.take(bytes).read_to_end(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_of_a_container_lead_to_its_own_root() {
        let root = std::env::temp_dir().join(format!("inotrail-links-{}", std::process::id()));
        fs::create_dir_all(root.join("run/secrets")).unwrap();
        fs::create_dir_all(root.join("var")).unwrap();
        symlink("../run", root.join("var/run")).unwrap();
        symlink("/../../../etc", root.join("out")).unwrap();
        let volume = Arc::default();
        let check = |path: &str, expected: &str| {
            let (found, _) = resolved(&root, (path, &volume));
            assert_eq!(String::from_utf8(found).unwrap(), expected);
        };
        check("/var/run/secrets/x", "/run/secrets/x");
        check("/run/secrets/x/", "/run/secrets/x");
        check("run/x", "/run/x");
        check("/x", "/x");
        // There is no such directory in the container.
        check("/out/passwd", "/out/passwd");
        check("/none/x", "/none/x");
        fs::remove_dir_all(root).unwrap();
    }
}
