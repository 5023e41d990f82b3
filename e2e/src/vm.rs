//! Test machines: one QEMU per test, Debian's kernel, and a first program of our own that runs the guest.

mod console;
mod qemu;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{self, Command},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;

use crate::{
    initramfs::Initramfs,
    kernels::{self, Kernel, Line},
};

pub use qemu::Threads;

/// Lines on the console by which the first program and the harness understand each other.
pub mod console_lines {
    /// The machine is up; the kernel's release follows.
    pub const UP: &str = "inotrail-up ";
    /// The guest ended as it should.
    pub const PASS: &str = "inotrail-pass";
    /// It did not; the reason follows.
    pub const FAIL: &str = "inotrail-fail ";
}

/// Where the first program finds the guest's arguments, each ended by NUL.
pub const ARGUMENTS: &str = "/arguments";
/// Where the first program finds the modules to load, in order of their names.
pub const MODULES: &str = "/modules";

/// What runs in a machine.
#[derive(Clone, Copy, Debug)]
pub struct Test {
    /// Name on the command line and in messages.
    pub name: &'static str,
    /// Arguments of the guest.
    pub guest: &'static [&'static str],
    /// How QEMU runs the machine's CPUs.
    pub threads: Threads,
    /// How long the machine may run once it is up.
    pub timeout: Duration,
}

/// Every test of machines.
pub const TESTS: &[Test] = &[
    Test::new("accesses", &["prove", "accesses", "fexit", "kprobe"], 180),
    Test::new("opens", &["prove", "opens", "fexit", "kprobe"], 300),
    Test::new("renames", &["prove", "renames", "fexit", "kprobe"], 300),
];

impl Test {
    const fn new(name: &'static str, guest: &'static [&'static str], seconds: u64) -> Self {
        Self { name, guest, threads: Threads::Multi, timeout: Duration::from_secs(seconds) }
    }
}

/// `e2e vm`: runs tests in machines.
#[derive(Debug, Parser)]
pub struct Args {
    /// Kernel line
    #[arg(long, default_value = "6.12")]
    kernel: String,
    /// Test to run; all where none is named
    #[arg(long)]
    test: Vec<String>,
    /// Look for a newer package of the kernel
    #[arg(long)]
    update: bool,
    /// Keep the console logs and the initramfs of tests that pass
    #[arg(long)]
    keep: bool,
}

impl Args {
    /// Builds the guest and runs the tests.
    ///
    /// # Errors
    /// Where a test fails or a machine cannot be made.
    pub fn run(&self) -> Result<()> {
        let unknown = self.test.iter().find(|name| !TESTS.iter().any(|test| test.name == **name));
        let names: Vec<_> = TESTS.iter().map(|test| test.name).collect();
        ensure!(unknown.is_none(), "no test {}: there are {}", unknown.map_or("", |name| name), names.join(", "));
        eprintln!("building the guest");
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo).args(["build", "--quiet", "--package", "e2e", "--bins"]).status();
        ensure!(built.context("run cargo")?.success(), "the guest does not build");
        let programs = env::current_exe().context("find this program")?;
        let kernel = Line::named(&self.kernel, env::consts::ARCH)?.fetch(self.update)?;
        let machine = Machine {
            kernel,
            init: programs.with_file_name("init"),
            guest: programs.with_file_name("guest"),
            keep: self.keep,
        };
        let tests = TESTS.iter().filter(|test| self.test.is_empty() || self.test.iter().any(|name| name == test.name));
        let failed: Vec<_> = tests.filter_map(|test| machine.prove(test).err()).collect();
        for error in &failed {
            eprintln!("{error:#}");
        }
        ensure!(failed.is_empty(), "{} of the tests failed", failed.len());
        Ok(())
    }
}

/// A machine that a test can run in.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The kernel it boots.
    pub kernel: Kernel,
    /// The first program.
    pub init: PathBuf,
    /// The program that it runs.
    pub guest: PathBuf,
    /// Keep the log of a test that passes.
    pub keep: bool,
}

impl Machine {
    /// Boots the machine, runs the test and waits for its verdict. A machine that does not come up is tried once more,
    /// because emulation fails now and then before the kernel has started; a test never is.
    ///
    /// # Errors
    /// Where the verdict is not "pass" or does not come.
    pub fn prove(&self, test: &Test) -> Result<()> {
        let what = format!("{} {}", self.kernel.release, test.name);
        let folder = kernels::cache()?.join("vm").join(format!("{}-{}", what.replace(' ', "-"), process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        let initramfs = folder.join("initramfs");
        self.initramfs(test, &initramfs)?;
        let start = Instant::now();
        let mut ended = qemu::run(&self.kernel, test, &initramfs, &folder.join("console.log"));
        if matches!(ended, Err(qemu::Error::NotUp(_))) {
            eprintln!("{what}: the machine did not come up, once more");
            ended = qemu::run(&self.kernel, test, &initramfs, &folder.join("console-again.log"));
        }
        let took = start.elapsed();
        if let Err(error) = ended {
            bail!("{what}: {error} ({took:.1?}); see {}", folder.display());
        }
        eprintln!("{what}: passed ({took:.1?})");
        if !self.keep {
            fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
        }
        Ok(())
    }

    fn initramfs(&self, test: &Test, path: &Path) -> Result<()> {
        let mut archive = Initramfs::create(path)?;
        for folder in ["/dev", "/proc", "/sys", "/tmp", MODULES] {
            archive.folder(folder)?;
        }
        archive.program(&self.init, "/init")?;
        archive.program(&self.guest, "/bin/guest")?;
        archive.program(Path::new("/usr/bin/unshare"), "/usr/bin/unshare")?;
        archive.file(ARGUMENTS, [test.guest.join("\0"), String::new()].join("\0").as_bytes())?;
        archive.file(&format!("{MODULES}/overlay.ko"), &module(&self.kernel, "kernel/fs/overlayfs/overlay.ko")?)?;
        archive.finish()
    }
}

/// A module's content, whose name the kernel package may have given `.xz`.
fn module(kernel: &Kernel, name: &str) -> Result<Vec<u8>> {
    let plain = kernel.modules.join(name);
    if plain.is_file() {
        return fs::read(&plain).with_context(|| format!("read {}", plain.display()));
    }
    let compressed = kernel.modules.join(format!("{name}.xz"));
    let output = Command::new("xz").args(["--decompress", "--stdout"]).arg(&compressed).output().context("run xz")?;
    ensure!(output.status.success(), "unpack {}: {}", compressed.display(), String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}
