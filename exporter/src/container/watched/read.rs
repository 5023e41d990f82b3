//! Finds files in containers, whose own processes decide what is there.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, StatxFlags, openat2, statx};
use rustix::io::Errno;

use super::super::mountinfo::MountLine;
use super::super::mounts::MountReader;
use super::super::path::as_path;
use super::{Absent, FilePath, WatchedFiles};
use crate::container::FileId;

/// File systems that answer by themselves: what is looked up there waits for nobody whom the container could have asked not
/// to answer.
const LOCAL: [&[u8]; 9] = [b"overlay", b"ext4", b"ext3", b"ext2", b"xfs", b"btrfs", b"tmpfs", b"f2fs", b"squashfs"];

/// Which files of whom are looked for.
#[derive(Debug)]
pub(in super::super) struct WantedFiles {
    /// Id of the cgroup.
    pub(in super::super) cgroup: u64,
    /// Where its files are.
    pub(in super::super) directory: PathBuf,
    pub(in super::super) paths: Arc<[FilePath]>,
}

/// By cgroup what was found; nothing: it is not there to be looked at.
pub(in super::super) type Looked = Vec<(u64, Option<WatchedFiles>)>;

/// A few microseconds for each path.
pub(super) fn look(reader: &MountReader, wanted: &[WantedFiles]) -> Looked {
    let container = |wanted: &WantedFiles| {
        let process = reader.inside(&wanted.directory)?;
        files(&process, &wanted.paths).ok()
    };
    wanted.iter().map(|wanted| (wanted.cgroup, container(wanted))).collect()
}

/// Files as a process sees them; `process` is its folder in procfs.
fn files(process: &Path, paths: &[FilePath]) -> io::Result<WatchedFiles> {
    let root = File::open(process.join("root"))?;
    let text = fs::read(process.join("mountinfo"))?;
    let mounts: Vec<_> = MountLine::all(&text).collect();
    let devices: HashMap<_, _> = mounts.iter().map(|mount| (mount.id, mount.device)).collect();
    let mut files = WatchedFiles::default();
    for path in paths {
        let found = mount_of(&mounts, path).and_then(|mount| file(&root, mount, path, &devices));
        files.insert(path, found);
    }
    Ok(files)
}

/// The mount that a path lies on by its text, where that and all above it are local.
fn mount_of<'a>(mounts: &'a [MountLine<'a>], path: &[u8]) -> Result<&'a MountLine<'a>, Absent> {
    let above = |mount: &&MountLine<'_>| as_path(path).starts_with(mount.point());
    let above: Vec<_> = mounts.iter().filter(above).collect();
    if above.iter().any(|mount| !LOCAL.contains(&mount.filesystem)) {
        return Err(Absent::NotLooked);
    }
    // Of two at one point the later covers the earlier.
    above.into_iter().max_by_key(|mount| mount.point.len()).ok_or(Absent::NotLooked)
}

/// Follows the container's links, but neither out of its root nor into another mount than the path's own.
fn file(root: &File, mount: &MountLine<'_>, path: &[u8], devices: &HashMap<u64, u32>) -> Result<FileId, Absent> {
    let found = if *mount.point == *b"/" {
        open(root, as_path(path), ResolveFlags::IN_ROOT | ResolveFlags::NO_XDEV)?
    } else {
        let base = open(root, mount.point(), ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS)?;
        let below = as_path(path).strip_prefix(mount.point()).map_err(|_| Absent::NotLooked)?;
        if below.as_os_str().is_empty() {
            base
        } else {
            open(base, below, ResolveFlags::BENEATH | ResolveFlags::NO_XDEV)?
        }
    };
    let fields = StatxFlags::INO | StatxFlags::TYPE | StatxFlags::MNT_ID;
    let status = statx(&found, "", AtFlags::EMPTY_PATH, fields).map_err(absent)?;
    let device = devices.get(&status.stx_mnt_id).ok_or(Absent::NotLooked)?;
    let is_file = FileType::from_raw_mode(status.stx_mode.into()) == FileType::RegularFile;
    if is_file { Ok((*device, status.stx_ino)) } else { Err(Absent::NotLooked) }
}

fn open(base: impl AsFd, path: &Path, resolve: ResolveFlags) -> Result<OwnedFd, Absent> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    openat2(base, path, flags, Mode::empty(), resolve | ResolveFlags::NO_MAGICLINKS).map_err(absent)
}

fn absent(error: Errno) -> Absent {
    if matches!(error, Errno::NOENT | Errno::NOTDIR) { Absent::Missing } else { Absent::NotLooked }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;

    /// A folder in place of a process's in procfs, whose root is a folder with a mount table of its own.
    fn process(folder: &Path, mounts: &[(&str, &str)]) -> PathBuf {
        let (process, root) = (folder.join("process"), folder.join("root"));
        fs::create_dir(&process).unwrap();
        fs::create_dir_all(root.join("etc")).unwrap();
        symlink(&root, process.join("root")).unwrap();
        let id = statx(File::open(folder).unwrap(), "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).unwrap().stx_mnt_id;
        let line = |(point, kind): &(&str, &str)| format!("{id} 1 7:9 / {point} rw - {kind} none rw\n");
        fs::write(process.join("mountinfo"), mounts.iter().map(line).collect::<String>()).unwrap();
        process
    }

    #[test]
    fn what_paths_lead_to() {
        let folder = tempfile::tempdir().unwrap();
        let process = process(folder.path(), &[("/", "ext4"), ("/data", "tmpfs"), ("/net", "nfs4")]);
        let root = folder.path().join("root");
        fs::write(folder.path().join("outside"), "").unwrap();
        fs::write(root.join("etc/shadow"), "").unwrap();
        fs::create_dir_all(root.join("data/sub")).unwrap();
        fs::create_dir(root.join("net")).unwrap();
        fs::write(root.join("data/sub/file"), "").unwrap();
        fs::write(root.join("net/file"), "").unwrap();
        symlink("/etc/shadow", root.join("link")).unwrap();
        symlink("../../../outside", root.join("out")).unwrap();
        symlink("/etc", root.join("data/etc")).unwrap();
        let inode = |name: &str| Ok((7 << 20 | 9, fs::metadata(root.join(name)).unwrap().ino()));
        let check = |path: &str, expected: Result<FileId, Absent>| {
            let found = files(&process, &[path.as_bytes().into()]).unwrap();
            let mut whole = WatchedFiles::default();
            whole.insert(path.as_bytes(), expected);
            assert_eq!(found, whole, "{path}");
        };
        check("/etc/shadow", inode("etc/shadow"));
        check("/link", inode("etc/shadow"));
        check("/data/sub/file", inode("data/sub/file"));
        check("/etc/none", Err(Absent::Missing));
        check("/etc/shadow/none", Err(Absent::Missing));
        check("/etc", Err(Absent::NotLooked));
        check("/", Err(Absent::NotLooked));
        // The container's links end at its root, and a volume's inside of that.
        check("/out", Err(Absent::Missing));
        check("/data/etc/shadow", Err(Absent::NotLooked));
        check("/net/file", Err(Absent::NotLooked));
    }

    #[test]
    fn procfs_is_not_looked_into() {
        let path = FilePath::from(*b"/proc/self/status");
        let found = files(Path::new("/proc/self"), &[path]).unwrap();
        assert_eq!(found.ids().count(), 0);
    }
}
