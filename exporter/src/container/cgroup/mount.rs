//! Where cgroup hierarchies are mounted, and where in them a process is.

use std::path::{Component, Path, PathBuf};

use super::super::mountinfo::MountLine;

/// A cgroup file system in the mount table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// Where it is mounted.
    pub(super) point: PathBuf,
    /// Which directory of the hierarchy is seen there; `/` where the cgroup namespace hides its name.
    pub(super) prefix: PathBuf,
    /// How many levels above the root of the cgroup namespace that directory is.
    pub(super) above: usize,
}

impl Mount {
    /// Of all mounts of a hierarchy, the one that shows most of it. Mounts that a later one covers do not count.
    pub(super) fn widest(mountinfo: &[u8], controller: Option<&str>) -> Option<Self> {
        let mut visible: Vec<MountLine<'_>> = Vec::new();
        for line in MountLine::all(mountinfo) {
            visible.retain(|earlier| !earlier.point().starts_with(line.point()));
            visible.push(line);
        }
        let wanted = visible.into_iter().filter(|line| is_of(line, controller)).map(|line| Self::of(&line));
        wanted.min_by_key(|mount| (usize::MAX - mount.above, mount.prefix.components().count()))
    }

    fn of(line: &MountLine<'_>) -> Self {
        let above = line.root().components().filter(|part| *part == Component::ParentDir).count();
        let prefix = if above == 0 { line.root() } else { Path::new("/") };
        Self { point: line.point().to_owned(), prefix: prefix.to_owned(), above }
    }
}

fn is_of(line: &MountLine<'_>, controller: Option<&str>) -> bool {
    match controller {
        None => line.filesystem == b"cgroup2",
        Some(name) => line.filesystem == b"cgroup" && line.has_option(name),
    }
}

/// Hierarchy id and path of a process in a hierarchy, as `/proc/PID/cgroup` shows them.
pub(super) fn membership<'a>(cgroups: &'a [u8], controller: Option<&str>) -> Option<(u32, &'a [u8])> {
    cgroups.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.splitn(3, |byte| *byte == b':');
        let id = str::from_utf8(fields.next()?).ok()?.parse().ok()?;
        let (controllers, path) = (fields.next()?, fields.next()?);
        let same = match controller {
            None => id == 0,
            Some(name) => controllers.split(|byte| *byte == b',').any(|other| other == name.as_bytes()),
        };
        same.then_some((id, path))
    })
}

/// A path that `/proc` shows from the root of a cgroup namespace, as the hierarchy has it. `None`: it leads out of that.
pub(super) fn resolve(namespace: &Path, shown: &Path) -> Option<PathBuf> {
    let mut path = namespace.to_owned();
    for component in shown.components() {
        match component {
            Component::ParentDir => path.pop().then_some(())?,
            Component::Normal(name) => path.push(name),
            _ => {}
        }
    }
    Some(path)
}

/// The root of the cgroup namespace, where the cgroup at `path` of the hierarchy is shown so. `None`: it is outside of it.
pub(super) fn root_of(path: &Path, shown: &Path) -> Option<PathBuf> {
    let below = shown.strip_prefix("/").ok()?;
    let root = path.ancestors().nth(below.components().count())?;
    (root.join(below) == path).then(|| root.to_owned())
}
