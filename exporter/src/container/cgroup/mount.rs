//! Lines of `/proc/self/mountinfo` and `/proc/self/cgroup` (proc(5)).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

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
    pub(super) fn widest(mountinfo: &str, controller: Option<&str>) -> Option<Self> {
        let mut visible: Vec<(Self, bool)> = Vec::new();
        for line in mountinfo.lines() {
            let Some((mount, wanted)) = Self::parse(line, controller) else { continue };
            visible.retain(|(earlier, _)| !earlier.point.starts_with(&mount.point));
            visible.push((mount, wanted));
        }
        let wanted = visible.into_iter().filter_map(|(mount, wanted)| wanted.then_some(mount));
        wanted.min_by_key(|mount| (usize::MAX - mount.above, mount.prefix.components().count()))
    }

    /// Any mount, and whether it is of the hierarchy asked for.
    fn parse(line: &str, controller: Option<&str>) -> Option<(Self, bool)> {
        let (left, right) = line.split_once(" - ")?;
        let mut fields = left.split(' ').skip(3);
        let (root, point) = (unescape(fields.next()?), unescape(fields.next()?));
        let mut fields = right.split(' ');
        let (kind, options) = (fields.next()?, fields.nth(1)?);
        let wanted = match controller {
            None => kind == "cgroup2",
            Some(name) => kind == "cgroup" && options.split(',').any(|option| option == name),
        };
        let above = root.components().filter(|part| *part == Component::ParentDir).count();
        let prefix = if above == 0 { root } else { Path::new("/").to_owned() };
        Some((Self { point, prefix, above }, wanted))
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

/// The kernel writes space, tab, newline and backslash as three octal digits (`mangle_path` in `fs/seq_file.c`).
fn unescape(field: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let [first, tail @ ..] = rest {
        if let [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] = rest {
            bytes.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
            rest = after;
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}
