//! Debian's archive, read by apt with a state of its own: the system's sources, lists and packages stay as they are.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context as _, Result, bail, ensure};

use super::numbers;

/// Keyrings that Debian's own packages install, one of which signs the archive.
const KEYRINGS: [&str; 2] =
    ["/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp"];

/// One suite of the archive for one architecture.
pub(crate) struct Archive {
    options: Vec<String>,
}

impl Archive {
    /// Fetches the suite's signed index into `root`.
    /// `arch` is the kernel's name of it.
    pub(crate) fn open(root: &Path, suite: &str, arch: &str) -> Result<Self> {
        let arch = debian_arch(arch)?;
        for folder in ["state/lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(root.join(folder)).with_context(|| format!("create {}", root.display()))?;
        }
        let keyring = KEYRINGS.into_iter().find(|path| Path::new(path).is_file());
        let keyring = keyring.context("no key of Debian's archive: install debian-archive-keyring")?;
        let mirror = mirror().context("apt's sources name no mirror of Debian: add one to /etc/apt/sources.list")?;
        fs::write(root.join("sources.list"), format!("deb [signed-by={keyring}] {mirror} {suite} main\n"))?;
        fs::write(root.join("status"), "")?;
        let root = root.display();
        let options = [
            format!("Dir::State={root}/state"),
            format!("Dir::State::status={root}/status"),
            format!("Dir::Cache={root}/cache"),
            format!("Dir::Etc::sourcelist={root}/sources.list"),
            "Dir::Etc::sourceparts=/dev/null".into(),
            // apt's own user could not write here.
            "APT::Sandbox::User=root".into(),
            "Acquire::Languages=none".into(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".into(),
            format!("APT::Architecture={arch}"),
            format!("APT::Architectures::={arch}"),
        ];
        let archive = Self { options: options.into_iter().flat_map(|option| ["-o".to_owned(), option]).collect() };
        archive.run("apt-get", &["update", "-qq"], None)?;
        Ok(archive)
    }

    /// The package of the highest version whose name matches a pattern.
    pub(super) fn newest(&self, pattern: &str) -> Result<String> {
        let expression = format!("^{}$", pattern.replace('.', "[.]").replace('+', "[+]").replace('*', "[^-]*"));
        let output = self.run("apt-cache", &["search", "--names-only", &expression], None)?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let names = text.lines().filter_map(|line| line.split(' ').next());
        let name = names.max_by_key(|name| numbers(name));
        name.map(str::to_owned).with_context(|| format!("no package {pattern} in the archive"))
    }

    /// Downloads a package into a folder, and unpacks it into another. Returns its file.
    pub(crate) fn unpack(&self, package: &str, folder: &Path, target: &Path) -> Result<PathBuf> {
        self.run("apt-get", &["download", "-qq", package], Some(folder))?;
        let prefix = format!("{package}_");
        let is_it = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix));
        let mut files = fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path()));
        let file = files.find(is_it).with_context(|| format!("apt-get did not download {package}"))?;
        let status = Command::new("dpkg-deb").arg("--extract").arg(&file).arg(target).status();
        ensure!(status.context("run dpkg-deb")?.success(), "dpkg-deb cannot unpack {}", file.display());
        Ok(file)
    }

    fn run(&self, program: &str, arguments: &[&str], folder: Option<&Path>) -> Result<Output> {
        let mut command = Command::new(program);
        command.args(&self.options).args(arguments).env("LC_ALL", "C");
        if let Some(folder) = folder {
            command.current_dir(folder);
        }
        let output = command.output().with_context(|| format!("run {program}"))?;
        ensure!(
            output.status.success(),
            "{program} {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(output)
    }
}

fn debian_arch(arch: &str) -> Result<&'static str> {
    match arch {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        _ => bail!("no Debian name for the architecture {arch}"),
    }
}

/// The mirror of Debian that this machine's own sources name.
fn mirror() -> Option<String> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    files.extend(fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten().map(|entry| entry.path()));
    let texts = files.iter().filter_map(|file| fs::read_to_string(file).ok());
    texts.into_iter().find_map(|text| mirror_in(&text))
}

/// The first address in a list of sources (either format) whose path is `debian`.
fn mirror_in(sources: &str) -> Option<String> {
    let lines = sources.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let mut words = lines.flat_map(str::split_whitespace);
    let address = words.find(|word| word.contains("://") && word.trim_end_matches('/').ends_with("/debian"))?;
    Some(address.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::mirror_in;

    #[test]
    fn both_formats_of_sources_name_the_mirror() {
        let check = |sources: &str, expected: Option<&str>| assert_eq!(mirror_in(sources).as_deref(), expected);
        check(
            "Types: deb\n# URIs: http://old/debian\nURIs: http://a.example/debian/\nSuites: x\n",
            Some("http://a.example/debian"),
        );
        check("deb [arch=amd64] https://b.example/x/debian trixie main\n", Some("https://b.example/x/debian"));
        check("deb http://b.example/debian-security trixie main\n", None);
        check("", None);
    }
}
