//! Debian's kernels: which ones, and how they get here without touching this system's own package database.

pub(crate) mod apt;
mod modules;

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process,
};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

/// A kernel line that tests name, such as 6.12, and where Debian keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Major and minor version.
    pub line: String,
    /// Architecture as Rust names it.
    pub arch: String,
    /// Suite of the archive.
    pub suite: String,
    /// Patterns of package names; `*` stands for anything without a hyphen.
    pub packages: Vec<String>,
    /// Preemption models to boot it with, as `preempt=` spells them; only its own where there is none.
    #[serde(default)]
    pub preempt: Vec<String>,
    /// Backends that it does not take, each with a part of the reason.
    #[serde(default)]
    pub refused: BTreeMap<String, String>,
}

/// An unpacked kernel.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// What `uname -r` says in it.
    pub release: String,
    /// Architecture as Rust names it.
    pub arch: String,
    /// The image that QEMU boots.
    pub image: PathBuf,
    /// The folder that holds `kernel/`, the tree of its modules.
    pub modules: PathBuf,
}

impl Line {
    /// Every line of `kernels.toml`.
    ///
    /// # Errors
    /// Where the file is not what it should be.
    pub fn all() -> Result<Vec<Self>> {
        #[derive(Deserialize)]
        struct Kernels {
            kernel: Vec<Line>,
        }
        let all: Kernels = toml::from_str(include_str!("../kernels.toml")).context("kernels.toml")?;
        Ok(all.kernel)
    }

    /// The line of this name for an architecture.
    ///
    /// # Errors
    /// Where `kernels.toml` has none; the message lists those it has.
    pub fn named(line: &str, arch: &str) -> Result<Self> {
        let all = Self::all()?;
        let known: Vec<_> = all.iter().map(|k| format!("{} ({})", k.line, k.arch)).collect();
        all.into_iter()
            .find(|kernel| kernel.line == line && kernel.arch == arch)
            .with_context(|| format!("no kernel {line} for {arch}: kernels.toml has {}", known.join(", ")))
    }

    /// The newest kernel of this line in the cache; fetched from the archive where there is none, or where asked.
    ///
    /// # Errors
    /// Where nothing is cached and the archive cannot be read, or a package does not hold what a kernel package holds.
    pub fn fetch(&self, update: bool) -> Result<Kernel> {
        let folder = cache()?.join("kernels").join(format!("{}-{}", self.arch, self.line));
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        if update || newest(&folder)?.is_none() {
            eprintln!("kernel {} ({}): looking it up in Debian {}", self.line, self.arch, self.suite);
            self.download(&folder)?;
        }
        let version = newest(&folder)?.with_context(|| format!("no kernel in {}", folder.display()))?;
        let kernel = Kernel::unpacked(&version, &self.arch)?;
        eprintln!("kernel {} ({}): {}", self.line, self.arch, kernel.release);
        Ok(kernel)
    }

    /// Fetches and unpacks the newest packages into `folder/<version>`, whole or not at all.
    fn download(&self, folder: &Path) -> Result<()> {
        let scratch = Scratch::new(folder)?;
        let archive = apt::Archive::open(&scratch.0.join("apt"), &self.suite, &self.arch)?;
        let unpacked = scratch.0.join("root");
        let mut files = Vec::new();
        for pattern in &self.packages {
            let package = archive.newest(pattern)?;
            eprintln!("kernel {} ({}): fetching {package}", self.line, self.arch);
            files.push(archive.unpack(&package, &scratch.0, &unpacked)?);
        }
        let version = files.first().and_then(|file| file.file_name()?.to_str()?.split('_').nth(1));
        let target = folder.join(version.with_context(|| format!("kernels.toml names no package for {}", self.line))?);
        if !target.exists() {
            fs::rename(&unpacked, &target).with_context(|| format!("move the kernel to {}", target.display()))?;
        }
        Ok(())
    }
}

impl Kernel {
    /// The kernel whose packages were unpacked into a folder.
    fn unpacked(root: &Path, arch: &str) -> Result<Self> {
        let modules =
            ["usr/lib/modules", "lib/modules"].map(|path| root.join(path)).into_iter().find(|path| path.is_dir());
        let modules = modules.with_context(|| format!("no modules in {}", root.display()))?;
        let Some(modules) = folders(&modules)?.pop() else { bail!("no modules in {}", root.display()) };
        let release = modules.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let images = [root.join(format!("boot/vmlinuz-{release}")), modules.join("vmlinuz")];
        let image = images.into_iter().find(|path| path.is_file());
        let image = image.with_context(|| format!("no vmlinuz for {release} in {}", root.display()))?;
        Ok(Self { release, arch: arch.to_owned(), image, modules })
    }
}

/// Where fetched and built things stay between runs: `INOTRAIL_CACHE`, else the user's cache folder.
///
/// # Errors
/// Where neither `INOTRAIL_CACHE` nor `XDG_CACHE_HOME` nor `HOME` is set.
pub fn cache() -> Result<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("INOTRAIL_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|path| path.join("inotrail")))
        .or_else(|| set("HOME").map(|path| path.join(".cache/inotrail")))
        .context("no folder for the cache: set INOTRAIL_CACHE")
}

/// A folder of this process that goes when it is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(folder: &Path) -> Result<Self> {
        let path = folder.join(format!(".{}", process::id()));
        fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{} stays behind: {error}", self.0.display());
        }
    }
}

/// Visible folders in a folder.
fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() && !entry.file_name().as_encoded_bytes().starts_with(b".") {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// The folder with the highest version.
fn newest(folder: &Path) -> Result<Option<PathBuf>> {
    Ok(folders(folder)?.into_iter().max_by_key(|path| numbers(&path.to_string_lossy())))
}

/// The numbers in a name, which order versions of one package: 6.12.107 comes after 6.12.94.
pub(crate) fn numbers(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn higher_patch_versions_are_newer() {
        assert!(numbers("linux-image-6.12.107+deb13-cloud-amd64") > numbers("linux-image-6.12.94+deb13-cloud-amd64"));
        assert!(numbers("6.12.94-2") > numbers("6.12.94-1"));
    }

    #[test]
    fn the_table_names_a_line_once() {
        assert_eq!(Line::named("6.12", "x86_64").unwrap().suite, "trixie");
        let error = Line::named("2.4", "x86_64").unwrap_err().to_string();
        assert!(error.contains("6.12 (x86_64)"), "{error}");
    }
}
