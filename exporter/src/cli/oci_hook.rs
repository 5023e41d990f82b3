//! `inotrail oci-hook`: puts the hook where container runtimes find it, and takes it away again, without a container
//! noticing either.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

use super::Error;
use crate::config::args::{InstallArgs, OciHookCommand, UninstallArgs};

/// The program's name in `--bin-dir`.
const PROGRAM: &str = "inotrail-oci-hook";
/// The program, which build.rs has compiled.
const BYTES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/inotrail-oci-hook"));
/// The hook's file in `--hooks-dir`: runtimes read those that end in `.json`, in the order of their names.
const FILE: &str = "50-inotrail.json";

/// Why the hook could not be put into place or taken away.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {}: {cause}", path.display())]
pub struct HookError {
    what: &'static str,
    path: PathBuf,
    cause: io::Error,
}

pub(super) fn run(command: &OciHookCommand) -> Result<ExitCode, Error> {
    match command {
        OciHookCommand::Install(args) => install(args)?,
        OciHookCommand::Uninstall(args) => uninstall(args)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The program first, then the file that names it: no runtime ever reads a name that leads nowhere.
fn install(args: &InstallArgs) -> Result<(), HookError> {
    let program = args.place.bin_dir.join(PROGRAM);
    let text = definition(&program, &args.socket);
    put(&below(&args.place.root, &program), |new| fs::write(new, BYTES), 0o755)?;
    put(&below(&args.place.root, &args.place.hooks_dir.join(FILE)), |new| fs::write(new, &text), 0o644)
}

/// The file first, so that no further container gets the hook; the program when those have started that had it already: a
/// runtime fails a container whose hook is not there.
fn uninstall(args: &UninstallArgs) -> Result<(), HookError> {
    let file = below(&args.place.root, &args.place.hooks_dir.join(FILE));
    let was_there = remove(&file)?;
    if was_there {
        let seconds = args.grace.as_secs_f64();
        let _closed = writeln!(io::stderr(), "inotrail: waiting {seconds} s for containers that are being made");
        thread::sleep(args.grace);
    }
    remove(&below(&args.place.root, &args.place.bin_dir.join(PROGRAM)))?;
    Ok(())
}

/// Hook definition (containers/common `oci-hooks.5`). Without a time limit of the runtime's: it would fail the container.
fn definition(program: &Path, socket: &Path) -> String {
    let definition = serde_json::json!({
        "version": "1.0.0",
        "hook": { "path": program, "args": [PROGRAM, socket] },
        "when": { "always": true },
        "stages": ["createRuntime"],
    });
    format!("{definition}\n")
}

/// Writes a file under another name first: a runtime that watches the folder never reads half of it.
fn put(path: &Path, write: impl FnOnce(&Path) -> io::Result<()>, mode: u32) -> Result<(), HookError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder).map_err(failed("make", folder))?;
    let new = path.with_extension("new");
    let put = || {
        write(&new)?;
        fs::set_permissions(&new, Permissions::from_mode(mode))?;
        fs::rename(&new, path)
    };
    put().map_err(failed("write", path))
}

/// True: it was there.
fn remove(path: &Path) -> Result<bool, HookError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed("remove", path)(error)),
    }
}

/// Where a path of the host is seen from here.
fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> HookError + use<> {
    let path = path.to_owned();
    move |cause| HookError { what, path, cause }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::config::args::HookPlace;
    use super::*;

    #[test]
    fn comes_and_goes() {
        let root = std::env::temp_dir().join(format!("inotrail-install-{}", std::process::id()));
        let place = || HookPlace {
            root: root.clone(),
            hooks_dir: PathBuf::from("/etc/hooks.d"),
            bin_dir: PathBuf::from("/opt/bin"),
        };
        let socket = PathBuf::from("/run/x.sock");
        // Twice: an upgrade.
        for _ in 0..2 {
            install(&InstallArgs { place: place(), socket: socket.clone() }).unwrap();
        }
        let definition: serde_json::Value =
            serde_json::from_slice(&fs::read(root.join("etc/hooks.d/50-inotrail.json")).unwrap()).unwrap();
        assert_eq!(definition["hook"]["path"], "/opt/bin/inotrail-oci-hook");
        assert_eq!(definition["hook"]["args"], serde_json::json!(["inotrail-oci-hook", "/run/x.sock"]));
        assert_eq!(definition["stages"], serde_json::json!(["createRuntime"]));
        let program = root.join("opt/bin/inotrail-oci-hook");
        assert_eq!(fs::metadata(&program).unwrap().permissions().mode() & 0o777, 0o755);
        assert_eq!(fs::read(&program).unwrap(), BYTES);
        let count = |folder: &str| fs::read_dir(root.join(folder)).unwrap().count();
        assert_eq!((count("etc/hooks.d"), count("opt/bin")), (1, 1));
        for _ in 0..2 {
            uninstall(&UninstallArgs { place: place(), grace: Duration::ZERO }).unwrap();
            assert_eq!((count("etc/hooks.d"), count("opt/bin")), (0, 0));
        }
        fs::remove_dir_all(&root).unwrap();
        let error = remove(Path::new("/proc/self/stat")).unwrap_err().to_string();
        assert!(error.starts_with("cannot remove /proc/self/stat: "), "{error}");
    }
}
