//! Lines of `/proc/PID/mountinfo` (proc(5)).

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// One mount. Paths are bytes: whoever mounts chooses them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MountLine<'a> {
    /// The mount's number (`STATX_MNT_ID`).
    pub(super) id: u64,
    /// `super_block.s_dev`: major << 20 | minor, as records have it.
    pub(super) device: u32,
    /// Which directory (or file) of the file system is seen there.
    pub(super) root: Cow<'a, [u8]>,
    /// Where it is mounted, seen from the process's root.
    pub(super) point: Cow<'a, [u8]>,
    /// `overlay`, `tmpfs`...
    pub(super) filesystem: &'a [u8],
    options: &'a [u8],
}

impl<'a> MountLine<'a> {
    /// All mounts of a file, in order: a later one covers an earlier one. Lines of another form are left out.
    pub(super) fn all(text: &'a [u8]) -> impl Iterator<Item = Self> {
        text.split(|byte| *byte == b'\n').filter_map(Self::parse)
    }

    fn parse(line: &'a [u8]) -> Option<Self> {
        let separator = line.windows(3).position(|part| part == b" - ")?;
        let mut fields = line[..separator].split(|byte| *byte == b' ');
        let id = str::from_utf8(fields.next()?).ok()?.parse().ok()?;
        let mut fields = fields.skip(1);
        let (device, root, point) = (device(fields.next()?)?, unescape(fields.next()?), unescape(fields.next()?));
        let mut fields = line[separator + 3..].split(|byte| *byte == b' ');
        let (filesystem, options) = (fields.next()?, fields.nth(1)?);
        Some(Self { id, device, root, point, filesystem, options })
    }

    /// Whether the file system has this option: a controller of version 1's cgroups.
    pub(super) fn has_option(&self, name: &str) -> bool {
        self.options.split(|byte| *byte == b',').any(|option| option == name.as_bytes())
    }

    /// The value of the file system's option `name=`.
    pub(super) fn option(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        let value = |option: &'a [u8]| option.strip_prefix(name.as_bytes())?.strip_prefix(b"=");
        self.options.split(|byte| *byte == b',').find_map(value).map(unescape)
    }

    /// [`Self::point`] as a path.
    pub(super) fn point(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.point))
    }

    /// [`Self::root`] as a path.
    pub(super) fn root(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.root))
    }
}

/// `major:minor`
fn device(field: &[u8]) -> Option<u32> {
    let (major, minor) = str::from_utf8(field).ok()?.split_once(':')?;
    let (major, minor): (u32, u32) = (major.parse().ok()?, minor.parse().ok()?);
    (major < 1 << 12 && minor < 1 << 20).then_some(major << 20 | minor)
}

/// The kernel writes space, tab, newline and backslash as three octal digits (`mangle_path` in `fs/seq_file.c`).
fn unescape(field: &[u8]) -> Cow<'_, [u8]> {
    if !field.contains(&b'\\') {
        return Cow::Borrowed(field);
    }
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        if let [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] = rest {
            bytes.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
            rest = after;
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    Cow::Owned(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &[u8], expected: Option<(u32, [&[u8]; 3])>) {
        let found = MountLine::parse(line);
        let found = found.as_ref().map(|line| (line.device, [&*line.root, &*line.point, line.filesystem]));
        assert_eq!(found, expected, "{}", String::from_utf8_lossy(line));
    }

    #[test]
    fn lines() {
        check(b"22 27 0:21 / /proc rw,relatime - proc proc rw", Some((21, [b"/", b"/proc", b"proc"])));
        check(
            b"36 35 259:2 /a\\040b /c\\134\\012 rw,noatime shared:1 master:2 - ext4 /dev/root rw,errors=continue",
            Some((259 << 20 | 2, [b"/a b", b"/c\\\n", b"ext4"])),
        );
        check(b"1 2 0:5 /\xff /\xfe rw - tmpfs tmpfs rw", Some((5, [b"/\xff", b"/\xfe", b"tmpfs"])));
        // A name that looks like the separator is escaped; what is no line is none.
        check(b"1 2 0:5 / /x\\040-\\040y rw - tmpfs none rw", Some((5, [b"/", b"/x - y", b"tmpfs"])));
        for bad in ["", "1 2 0:5 / /x rw", "1 2 5 / /x rw - a b c", "1 2 5000:1 / /x rw - a b c", "1 2 0:5 / - a b c"] {
            check(bad.as_bytes(), None);
        }
    }

    #[test]
    fn options() {
        let line = b"1 2 0:50 / / rw - overlay overlay rw,lowerdir=l/A:l/B,upperdir=/var/lib/x\\0401/fs,workdir=/w";
        let line = MountLine::parse(line).unwrap();
        assert_eq!(line.option("upperdir").as_deref(), Some(&b"/var/lib/x 1/fs"[..]));
        assert_eq!(line.option("upper"), None);
        assert!(line.has_option("rw") && !line.has_option("upperdir"));
    }
}
