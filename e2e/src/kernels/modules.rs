//! Modules of a kernel, with what they need.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::Kernel;

impl Kernel {
    /// Content of the modules of these names and of those that they depend on, each after its own dependencies. What is
    /// built into the kernel is left out.
    ///
    /// # Errors
    /// The kernel has no such module.
    pub fn modules(&self, names: &[&str]) -> Result<Vec<(String, Vec<u8>)>> {
        let built_in = match fs::read_to_string(self.modules.join("modules.builtin")) {
            // Debian's newer packages of modules alone have no such list.
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            read => read.context("read modules.builtin")?,
        };
        let built_in: Vec<_> = built_in.lines().map(|line| name(Path::new(line))).collect();
        let mut files = Vec::new();
        find(&self.modules.join("kernel"), &mut files)?;
        let mut found = Vec::new();
        for name in names {
            add(name, &built_in, &files, &mut found)?;
        }
        Ok(found)
    }
}

fn add(wanted: &str, built_in: &[String], files: &[PathBuf], found: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    if found.iter().any(|(name, _)| name == wanted) || built_in.iter().any(|name| name == wanted) {
        return Ok(());
    }
    let file = files.iter().find(|file| name(file) == wanted);
    let content = content(file.with_context(|| format!("this kernel has no module {wanted}"))?)?;
    for dependency in depends(&content) {
        add(&dependency, built_in, files, found)?;
    }
    found.push((wanted.to_owned(), content));
    Ok(())
}

/// `kernel/net/802/stp.ko.xz` is `stp`. Modules call each other with `_` where files have `-`.
fn name(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name.split('.').next().unwrap_or_default().replace('-', "_")
}

/// What a module's section `.modinfo` says that it needs: `depends=bridge,stp`, between zeros.
fn depends(content: &[u8]) -> Vec<String> {
    let key = b"\0depends=";
    let Some(start) = content.windows(key.len()).position(|part| part == key) else { return Vec::new() };
    let list = content[start + key.len()..].split(|byte| *byte == 0).next().unwrap_or_default();
    let names = String::from_utf8_lossy(list).replace('-', "_");
    names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            find(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// A module, which the kernel package may have compressed.
fn content(file: &Path) -> Result<Vec<u8>> {
    if file.extension().is_none_or(|extension| extension != "xz") {
        return fs::read(file).with_context(|| format!("read {}", file.display()));
    }
    let output = Command::new("xz").args(["--decompress", "--stdout"]).arg(file).output().context("run xz")?;
    ensure!(output.status.success(), "unpack {}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files() {
        let check = |file: &str, expected: &str| assert_eq!(name(Path::new(file)), expected);
        check("kernel/net/802/stp.ko", "stp");
        check("kernel/drivers/net/net_failover.ko.xz", "net_failover");
        check("kernel/arch/x86/crypto/aesni-intel.ko.xz", "aesni_intel");
        check("", "");
    }

    #[test]
    fn dependencies() {
        let check = |content: &str, expected: &[&str]| assert_eq!(depends(content.as_bytes()), expected, "{content:?}");
        check("license=GPL\0depends=stp,llc\0name=bridge\0", &["stp", "llc"]);
        check("license=GPL\0depends=\0name=llc\0", &[]);
        check("x\0depends=aesni-intel", &["aesni_intel"]);
        check("softdepends=a\0", &[]);
    }
}
