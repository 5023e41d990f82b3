//! The first file system of a test machine: a cpio archive in the "newc" format, uncompressed, because a machine
//! without hardware virtualization unpacks it faster than it inflates it.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufWriter, Write},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

const FOLDER: u32 = 0o040_755;
const FILE: u32 = 0o100_644;
const PROGRAM: u32 = 0o100_755;

/// An archive being written.
pub struct Initramfs {
    out: BufWriter<fs::File>,
    /// What is in it already, without the leading slash.
    names: BTreeSet<PathBuf>,
    offset: usize,
}

impl Initramfs {
    /// Starts an archive at `path`.
    ///
    /// # Errors
    /// Where the file cannot be created.
    pub fn create(path: &Path) -> Result<Self> {
        let file = fs::File::create(path).with_context(|| format!("create {}", path.display()))?;
        Ok(Self { out: BufWriter::new(file), names: BTreeSet::new(), offset: 0 })
    }

    /// Adds an empty folder, and those above it.
    ///
    /// # Errors
    /// Where the archive cannot be written.
    pub fn folder(&mut self, path: &str) -> Result<()> {
        self.entry(Path::new(path), FOLDER, &[])
    }

    /// Adds a file.
    ///
    /// # Errors
    /// Where the archive cannot be written.
    pub fn file(&mut self, path: &str, content: &[u8]) -> Result<()> {
        self.entry(Path::new(path), FILE, content)
    }

    /// Adds a program as `path`, and the shared libraries of this system that it is linked to.
    ///
    /// # Errors
    /// Where the program or a library cannot be read.
    pub fn program(&mut self, source: &Path, path: &str) -> Result<()> {
        let content = fs::read(source).with_context(|| format!("read {}", source.display()))?;
        self.entry(Path::new(path), PROGRAM, &content)?;
        for library in libraries(source)? {
            let content = fs::read(&library).with_context(|| format!("read {}", library.display()))?;
            self.entry(&library, PROGRAM, &content)?;
        }
        Ok(())
    }

    /// Ends the archive.
    ///
    /// # Errors
    /// Where the archive cannot be written.
    pub fn finish(mut self) -> Result<()> {
        self.write("TRAILER!!!".as_ref(), 0, &[])?;
        self.out.flush().context("write the initramfs")
    }

    fn entry(&mut self, path: &Path, mode: u32, content: &[u8]) -> Result<()> {
        let name = path.strip_prefix("/").unwrap_or(path);
        if let Some(parent) = name.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            self.entry(parent, FOLDER, &[])?;
        }
        if !self.names.insert(name.to_owned()) {
            return Ok(());
        }
        self.write(name.as_os_str().as_bytes(), mode, content)
    }

    /// One member: Documentation/driver-api/early-userspace/buffer-format.rst.
    fn write(&mut self, name: &[u8], mode: u32, content: &[u8]) -> Result<()> {
        let links = if mode == FOLDER { 2 } else { 1 };
        let inode = self.names.len();
        let (size, name_size) = (content.len(), name.len() + 1);
        write!(self.out, "070701{inode:08X}{mode:08X}{0:08X}{0:08X}{links:08X}{0:08X}{size:08X}", 0)?;
        write!(self.out, "{0:08X}{0:08X}{0:08X}{0:08X}{name_size:08X}{0:08X}", 0)?;
        self.offset += 110;
        self.padded(&[name, b"\0"].concat())?;
        self.padded(content)
    }

    fn padded(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes)?;
        self.offset += bytes.len();
        let padding = self.offset.wrapping_neg() % 4;
        self.offset += padding;
        self.out.write_all(&[0; 4][..padding])?;
        Ok(())
    }
}

/// The shared libraries and the program loader that a program of this system needs, under the names it asks for; none
/// where it is linked statically, as those for another architecture are.
pub(crate) fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).env("LC_ALL", "C").output().context("run ldd")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if text.contains("statically linked")
        || String::from_utf8_lossy(&output.stderr).contains("not a dynamic executable")
    {
        return Ok(Vec::new());
    }
    ensure!(output.status.success() && !text.contains("not found"), "{} misses a library: {text}", program.display());
    Ok(text.lines().filter_map(library).collect())
}

/// `libc.so.6 => /lib/libc.so.6 (0x7f…)`, `/lib64/ld-linux-x86-64.so.2 (0x7f…)`; not `linux-vdso.so.1 (0x7f…)`.
fn library(line: &str) -> Option<PathBuf> {
    let line = line.split_once("=> ").map_or(line, |(_, path)| path).trim();
    let path = line.split(" (").next()?;
    path.starts_with('/').then(|| PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ldd_lines() {
        let check = |line: &str, expected: Option<&str>| assert_eq!(library(line), expected.map(PathBuf::from));
        check("\tlinux-vdso.so.1 (0x00007ffc)", None);
        check("\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)", Some("/lib/x86_64-linux-gnu/libc.so.6"));
        check("\t/lib64/ld-linux-x86-64.so.2 (0x00007f)", Some("/lib64/ld-linux-x86-64.so.2"));
    }

    #[test]
    fn the_archive_is_one_that_cpio_reads() {
        let folder = std::env::temp_dir().join(format!("inotrail-initramfs-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("archive");
        let mut archive = Initramfs::create(&path).unwrap();
        archive.file("/a/b/file", b"12345").unwrap();
        archive.folder("/a/empty").unwrap();
        archive.program(Path::new("/bin/true"), "/bin/true").unwrap();
        archive.finish().unwrap();
        let unpack =
            Command::new("cpio").args(["-id", "--quiet", "-F", "archive"]).current_dir(&folder).status().unwrap();
        assert!(unpack.success());
        assert_eq!(fs::read(folder.join("a/b/file")).unwrap(), b"12345");
        assert!(folder.join("a/empty").is_dir());
        assert!(folder.join("bin/true").metadata().unwrap().len() > 1000);
        fs::remove_dir_all(&folder).unwrap();
    }
}
