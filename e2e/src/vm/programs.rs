//! The programs that run in a machine, for the machine's architecture.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use inotrail_image::{platform::Platform, release, workspace};
use serde::Deserialize;

/// Where `make image` writes.
const IMAGES: &str = "target/image";

/// What a machine runs.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The first program.
    pub init: PathBuf,
    /// The program that it runs.
    pub guest: PathBuf,
    /// The exporter as the image has it, for tests of that.
    pub image: Option<PathBuf>,
}

/// What cargo says about a file it built; other messages have no `executable`.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
}

impl Programs {
    /// Builds them, where anything has changed. For another architecture than this system's they are linked statically:
    /// its shared libraries are not here.
    ///
    /// # Errors
    /// Where they do not build; cargo has said why.
    pub fn build(arch: &str) -> Result<Self> {
        eprintln!("building the guest for {arch}");
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--package", "e2e", "--bin", "init", "--bin", "guest"]);
        cargo.arg("--message-format=json-render-diagnostics");
        if arch != env::consts::ARCH {
            let target = format!("{arch}-unknown-linux-gnu");
            let variable = format!("CARGO_TARGET_{}", target.to_uppercase().replace('-', "_"));
            cargo.args(["--target", &target]);
            cargo.env(format!("{variable}_LINKER"), tool(arch, "gcc"));
            cargo.env(format!("{variable}_RUSTFLAGS"), "-Ctarget-feature=+crt-static");
        }
        let output = cargo.stderr(Stdio::inherit()).output().context("run cargo")?;
        ensure!(
            output.status.success(),
            "the guest for {arch} does not build: run `make setup` where a tool is missing"
        );
        let messages = output.stdout.split(|byte| *byte == b'\n');
        let messages = messages.filter_map(|line| serde_json::from_slice::<Message>(line).ok());
        let built: Vec<_> = messages.filter_map(|message| message.executable).collect();
        let program = |name: &str| built.iter().find(|path| path.ends_with(name)).cloned();
        Ok(Self {
            init: program("init").context("cargo built no program init")?,
            guest: program("guest").context("cargo built no program guest")?,
            image: None,
        })
    }

    /// Copies without what only a debugger reads, most of their size, and which no build replaces while they are used.
    ///
    /// # Errors
    /// Where they cannot be read or written.
    pub(super) fn stripped(&self, arch: &str, folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        let (init, guest) = (folder.join("init"), folder.join("guest"));
        strip(arch, &self.init, &init)?;
        strip(arch, &self.guest, &guest)?;
        Ok(Self { init, guest, image: None })
    }

    /// Adds the image's program, out of the archives of `make image`.
    ///
    /// # Errors
    /// Where there are none, or it cannot be written.
    pub(super) fn with_image(mut self, arch: &str, folder: &Path) -> Result<Self> {
        let platform = Platform::ALL.into_iter().find(|platform| platform.architecture() == arch);
        let platform = platform.with_context(|| format!("there is no image for {arch}"))?;
        let path = folder.join("inotrail");
        let program = release::program(&workspace().join(IMAGES), platform)?;
        fs::write(&path, program).with_context(|| format!("write {}", path.display()))?;
        self.image = Some(path);
        Ok(self)
    }
}

/// Copies a program without what only a debugger reads.
pub(crate) fn strip(arch: &str, program: &Path, copy: &Path) -> Result<()> {
    let strip = tool(arch, "strip");
    let output = Command::new(&strip).arg("--strip-debug").arg("-o").args([copy, program]).output();
    let output = output.with_context(|| format!("run {strip}"))?;
    let why = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{strip} {}: {}", program.display(), why.trim());
    Ok(())
}

/// A tool of GNU's compiler for an architecture, as Debian names those for other systems.
fn tool(arch: &str, name: &str) -> String {
    if arch == env::consts::ARCH { name.to_owned() } else { format!("{arch}-linux-gnu-{name}") }
}
