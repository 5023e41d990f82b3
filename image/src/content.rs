//! What is in the exporter's image.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail};

use crate::layout::{Entry, Kind};
use crate::{certificates, workspace};

/// The program, and the image's entry point.
pub const PROGRAM: &str = "inotrail";
const DOCUMENTS: &str = "usr/share/doc/inotrail";
/// Scanners of images look for this ending.
const SBOM: &str = "inotrail.cdx.json";

/// The image's files in the order of their paths, a folder before what is in it.
///
/// # Errors
/// A licence is not where it was.
pub fn entries(program: Vec<u8>, sbom: Vec<u8>) -> Result<Vec<Entry>> {
    let mut entries = vec![
        Entry::file(PROGRAM, 0o755, program),
        Entry::file(certificates::PATH, 0o644, certificates::pem()),
        Entry::file(format!("{DOCUMENTS}/{SBOM}"), 0o644, sbom),
    ];
    for name in ["LICENSE", "NOTICE"] {
        let text = fs::read(workspace().join(name)).with_context(|| format!("read {name}"))?;
        entries.push(Entry::file(format!("{DOCUMENTS}/{name}"), 0o644, text));
    }
    let folders = entries.iter().flat_map(|entry| Path::new(&entry.path).ancestors().skip(1));
    let mut folders: Vec<_> = folders.map(|folder| folder.to_string_lossy().into_owned()).collect();
    folders.retain(|folder| !folder.is_empty());
    folders.sort();
    folders.dedup();
    entries.extend(folders.into_iter().map(Entry::folder));
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(entries)
}

/// Writes them into an empty or missing folder, for an engine that copies it: modes and times are the image's, and so are the
/// owners, where root does this.
///
/// # Errors
/// There is something, or it cannot be written.
pub fn unpack(entries: &[Entry], folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    if fs::read_dir(folder)?.next().is_some() {
        bail!("{} is not empty", folder.display());
    }
    for Entry { path, mode, kind } in entries {
        let path = folder.join(path);
        match kind {
            Kind::Folder => fs::create_dir(&path),
            Kind::File(bytes) => fs::write(&path, bytes),
            Kind::Link(other) => fs::hard_link(folder.join(other), &path),
        }
        .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(*mode)))
        .with_context(|| format!("write {}", path.display()))?;
    }
    // What is in a folder first: it changes the folder's time.
    for Entry { path, .. } in entries.iter().rev() {
        let path = folder.join(path);
        let set = File::open(&path).and_then(|file| file.set_modified(SystemTime::UNIX_EPOCH));
        set.with_context(|| format!("set the time of {}", path.display()))?;
    }
    Ok(())
}
