//! Building the exporter for an image: static, and of the same bytes wherever the source lies.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use object::elf::PT_INTERP;
use object::read::elf::{ElfFile64, ProgramHeader as _};
use serde::Deserialize;

use crate::platform::Platform;
use crate::workspace;

/// The profile of the programs in images (Cargo.toml).
pub const PROFILE: &str = "image";

/// What cargo says about a file that it has built; other messages have no `executable`.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
}

/// Builds the exporter, where anything has changed, and returns it. `revision` is what it says that it was built from.
///
/// # Errors
/// It does not build, and cargo has said why; or it is not static.
pub fn build(platform: Platform, profile: &str, revision: &str) -> Result<Vec<u8>> {
    eprintln!("building inotrail for {}", platform.target());
    let target = platform.target();
    let (upper, lower) = (target.to_uppercase().replace('-', "_"), target.replace('-', "_"));
    // Debian's compiler for either, by its long name. What little C there is takes nothing from the libraries that musl's lack:
    // the linker would say so, since it is given musl's alone.
    let compiler = format!("{}-linux-gnu-gcc", platform.architecture());
    let output = Command::new(cargo())
        .current_dir(workspace())
        .args(["build", "--locked", "--quiet", "--package", "inotrail", "--bin", "inotrail", "--profile", profile])
        .args(["--target", &target, "--message-format=json-render-diagnostics"])
        .env(format!("CARGO_TARGET_{upper}_LINKER"), &compiler)
        .env(format!("CC_{lower}"), &compiler)
        .env(format!("CFLAGS_{lower}"), "-U_FORTIFY_SOURCE")
        .env("CARGO_ENCODED_RUSTFLAGS", flags()?)
        .env("CARGO_INCREMENTAL", "0")
        .env("INOTRAIL_REVISION", revision)
        .env_remove("RUSTFLAGS")
        .stderr(Stdio::inherit())
        .output()
        .context("run cargo")?;
    ensure!(output.status.success(), "inotrail does not build for {target}: run `make setup` where a tool is missing");
    let messages = output.stdout.split(|byte| *byte == b'\n');
    let messages = messages.filter_map(|line| serde_json::from_slice::<Message>(line).ok());
    let path = messages.filter_map(|message| message.executable).next_back().context("cargo built no program")?;
    let program = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    ensure!(is_static(&program)?, "{} asks for a loader: it is not static", path.display());
    Ok(program)
}

/// Whether a program runs without a loader, and so without libraries.
///
/// # Errors
/// It is no ELF program of 64 bits.
pub fn is_static(program: &[u8]) -> Result<bool> {
    let program: ElfFile64 = ElfFile64::parse(program).context("the program")?;
    let endian = program.endian();
    Ok(program.elf_program_headers().iter().all(|header| header.p_type(endian) != PT_INTERP))
}

/// Flags that leave out of the program where its source lies: messages of panics name files. The exporter's build script
/// passes them on to the builds inside of it.
fn flags() -> Result<OsString> {
    let sysroot = rustc(&["--print", "sysroot"])?;
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo"))).context("set CARGO_HOME")?;
    let workspace = workspace().canonicalize().context("the workspace")?;
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    // Whatever the profile: what C compilers write for debuggers names places too.
    let mut flags = OsString::from("-Ctarget-feature=+crt-static\u{1f}-Cstrip=symbols");
    // Where several fit, the compiler takes the last.
    let places: [(&Path, &str); 4] =
        [(&home, "/cargo"), (sysroot.as_ref(), "/rust"), (&workspace, "/inotrail"), (&target, "/target")];
    for (place, name) in places {
        flags.push("\u{1f}--remap-path-prefix=");
        flags.push(place);
        flags.push("=");
        flags.push(name);
    }
    Ok(flags)
}

/// What the compiler answers.
///
/// # Errors
/// There is none.
pub fn rustc(arguments: &[&str]) -> Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    answer(Command::new(rustc).current_dir(workspace()).args(arguments))
}

/// What a command writes, without the space around it.
///
/// # Errors
/// It fails, or there is no such command.
pub fn answer(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("run {}", command.get_program().display()))?;
    let why = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}: {}", output.status, why.trim());
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// The cargo that runs this, else that of `PATH`.
#[must_use]
pub fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This one is for glibc, which is linked when a program starts.
    #[test]
    fn a_program_with_a_loader() {
        let own = fs::read("/proc/self/exe").expect("the program");
        assert!(!is_static(&own).expect("it is ELF"));
        assert!(is_static(b"#!/bin/sh\n").is_err());
    }
}
