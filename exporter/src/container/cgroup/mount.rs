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
    above: usize,
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

/// Hierarchy id and path of a process in a hierarchy.
pub(super) fn membership<'a>(cgroups: &'a str, controller: Option<&str>) -> Option<(u32, &'a str)> {
    cgroups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (id, controllers, path) = (fields.next()?.parse().ok()?, fields.next()?, fields.next()?);
        let same = match controller {
            None => id == 0,
            Some(name) => controllers.split(',').any(|other| other == name),
        };
        same.then_some((id, path))
    })
}
